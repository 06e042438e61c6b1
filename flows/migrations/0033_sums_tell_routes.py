"""The sums by day tell the route, too. They only repeat the ledger, so those that are there are made anew."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("flows", "0032_pinned_views")]

    operations = [
        migrations.AddField(
            model_name="daysum",
            name="route",
            field=models.CharField(blank=True, db_default="", default="", max_length=80),
        ),
        migrations.RunSQL(
            "TRUNCATE flows_daysum, flows_unsummedcall, flows_summedzone", reverse_sql=migrations.RunSQL.noop, elidable=True
        ),
    ]

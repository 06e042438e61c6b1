"""Steps are summed by month, too, and by what they called; the dearest runs stand in an index. The sums only repeat the ledger, so those
that are there are made anew."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0045_errands"),
    ]

    operations = [
        migrations.RunSQL(
            "TRUNCATE flows_daysum, flows_unsummedcall, flows_summedzone CASCADE",
            reverse_sql=migrations.RunSQL.noop,
            elidable=True,
        ),
        migrations.RemoveIndex(model_name="stepsum", name="stepsum_of_zone"),
        migrations.AddField(
            model_name="stepsum", name="monthly", field=models.BooleanField(default=False), preserve_default=False
        ),
        migrations.AddField(
            model_name="stepsum", name="kind", field=models.CharField(default="", max_length=8), preserve_default=False
        ),
        migrations.AddField(
            model_name="stepsum", name="target", field=models.CharField(default="", max_length=160), preserve_default=False
        ),
        migrations.AddIndex(model_name="stepsum", index=models.Index(fields=["zone", "monthly", "day"], name="stepsum_of_zone")),
        migrations.AddField(model_name="runsum", name="alone", field=models.BooleanField(default=False), preserve_default=False),
        migrations.AddIndex(
            model_name="runsum",
            index=models.Index(
                fields=["zone", "simulated", "-settled", "run"], name="runsum_dearest", condition=models.Q(("alone", True))
            ),
        ),
        migrations.AddIndex(
            model_name="runsum",
            index=models.Index(fields=["zone", "run"], name="runsum_of_several", condition=models.Q(("alone", False))),
        ),
    ]

"""The chain of hashes over the audit log, append-only as the log itself."""

import django.db.models.functions.datetime
from django.db import migrations, models

APPEND_ONLY = """
CREATE TRIGGER seal_append_only BEFORE UPDATE OR DELETE ON flows_auditseal
    FOR EACH ROW EXECUTE FUNCTION flows_refuse_change();
CREATE TRIGGER seal_no_truncate BEFORE TRUNCATE ON flows_auditseal
    FOR EACH STATEMENT EXECUTE FUNCTION flows_refuse_change();
"""

UNDO = """
DROP TRIGGER seal_no_truncate ON flows_auditseal;
DROP TRIGGER seal_append_only ON flows_auditseal;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0015_answers_that_are_used_again"),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditSeal",
            fields=[
                ("number", models.BigIntegerField(primary_key=True, serialize=False)),
                ("row", models.BigIntegerField(unique=True)),
                ("hash", models.CharField(max_length=64)),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.RunSQL(APPEND_ONLY, UNDO),
    ]

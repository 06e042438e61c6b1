"""A knowledge base may name a model that makes its vectors; these have as many figures as that model gives."""

from django.db import migrations, models

ANY_LENGTH = """
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = 'flows_passage'::regclass AND attname = 'vector' AND NOT attisdropped) THEN
        ALTER TABLE flows_passage ALTER COLUMN vector TYPE vector;
    END IF;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0033_sums_tell_routes"),
    ]

    operations = [
        migrations.AddField(
            model_name="knowledgebase",
            name="embedding",
            field=models.CharField(blank=True, db_default="", default="", max_length=80),
        ),
        migrations.AddField(
            model_name="passage",
            name="embedded_by",
            field=models.CharField(blank=True, db_default="", default="", max_length=80),
        ),
        migrations.RunSQL(ANY_LENGTH, migrations.RunSQL.noop),
    ]

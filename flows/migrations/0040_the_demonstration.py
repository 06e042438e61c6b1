import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

# Versions, prices and corrections are never altered or removed, but for what the demonstration brought, which may be removed with it.
GUARD = """
CREATE FUNCTION flows_refuse_unless_brought() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND EXISTS (SELECT 1 FROM flows_seeded s WHERE s.kind = TG_ARGV[0] AND s.key = to_jsonb(OLD) ->> TG_ARGV[1]) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;
DROP TRIGGER version_immutable ON flows_flowversion;
CREATE TRIGGER version_immutable BEFORE UPDATE OR DELETE ON flows_flowversion
    FOR EACH ROW EXECUTE FUNCTION flows_refuse_unless_brought('version', 'id');
DROP TRIGGER price_immutable ON flows_price;
CREATE TRIGGER price_immutable BEFORE UPDATE OR DELETE ON flows_price
    FOR EACH ROW EXECUTE FUNCTION flows_refuse_unless_brought('price', 'id');
DROP TRIGGER adjustment_immutable ON flows_adjustment;
CREATE TRIGGER adjustment_immutable BEFORE UPDATE OR DELETE ON flows_adjustment
    FOR EACH ROW EXECUTE FUNCTION flows_refuse_unless_brought('run', 'run_id');
"""
UNGUARD = """
DROP TRIGGER adjustment_immutable ON flows_adjustment;
CREATE TRIGGER adjustment_immutable BEFORE UPDATE OR DELETE ON flows_adjustment FOR EACH ROW EXECUTE FUNCTION flows_refuse_change();
DROP TRIGGER price_immutable ON flows_price;
CREATE TRIGGER price_immutable BEFORE UPDATE OR DELETE ON flows_price FOR EACH ROW EXECUTE FUNCTION flows_refuse_change();
DROP TRIGGER version_immutable ON flows_flowversion;
CREATE TRIGGER version_immutable BEFORE UPDATE OR DELETE ON flows_flowversion
    FOR EACH ROW EXECUTE FUNCTION flows_refuse_change();
DROP FUNCTION flows_refuse_unless_brought();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0039_where_a_pinned_result_comes_from"),
    ]

    operations = [
        migrations.CreateModel(
            name="Filling",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, editable=False, primary_key=True, serialize=False)),
                ("what", models.CharField(blank=True, max_length=60)),
                ("done", models.PositiveIntegerField(default=0)),
                ("wanted", models.PositiveIntegerField(default=0)),
                ("begun_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("moved_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("ended_at", models.DateTimeField(null=True)),
                ("error", models.CharField(blank=True, max_length=300)),
                (
                    "by",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Seeded",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(max_length=12)),
                ("key", models.CharField(max_length=120)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("kind", "key"), name="seeded_once")],
            },
        ),
        migrations.RunSQL(GUARD, UNGUARD),
    ]

"""How the hot tables are stored, and the wall that keeps the audit log append-only."""

from django.db import migrations

STORAGE = """
ALTER TABLE flows_run SET (fillfactor = 70);
ALTER TABLE flows_call SET (fillfactor = 80);
ALTER TABLE flows_run SET (autovacuum_vacuum_scale_factor = 0.05);
"""

APPEND_ONLY = """
CREATE FUNCTION flows_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON flows_auditrow
    FOR EACH ROW EXECUTE FUNCTION flows_refuse_change();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON flows_auditrow
    FOR EACH STATEMENT EXECUTE FUNCTION flows_refuse_change();
CREATE TRIGGER version_immutable BEFORE UPDATE OR DELETE ON flows_flowversion
    FOR EACH ROW EXECUTE FUNCTION flows_refuse_change();
"""

UNDO = """
DROP TRIGGER version_immutable ON flows_flowversion;
DROP TRIGGER audit_no_truncate ON flows_auditrow;
DROP TRIGGER audit_append_only ON flows_auditrow;
DROP FUNCTION flows_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("flows", "0001_ground")]
    operations = [
        migrations.RunSQL(STORAGE, migrations.RunSQL.noop),
        migrations.RunSQL(APPEND_ONLY, UNDO),
    ]

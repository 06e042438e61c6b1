"""People, teams, the roles that people hold, API keys, and the record of who changed what."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from flows.models.identifiers import new_id, shown


class Role(models.TextChoices):
    """What a person may do, in one team or in all (`flows/access/rights.py` says what each includes)."""

    VIEWER = "viewer", "Viewer"
    OPERATOR = "operator", "Operator"
    APPROVER = "approver", "Approver"
    BUILDER = "builder", "Builder"
    OWNER = "owner", "Owner"
    AUDITOR = "auditor", "Auditor"


class People(BaseUserManager["Person"]):
    def create_person(self, username: str, password: str | None = None, *, name: str = "") -> Person:
        """A person who can sign in with this password, or, without one, only act through keys."""
        person = self.model(username=username, name=name or username)
        person.set_password(password)
        person.save(using=self._db)
        return person


class Person(AbstractBaseUser):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    username = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=120)
    email = models.EmailField(blank=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField(null=True, blank=True)  # when they last asked for a page, to the minute

    objects = People()

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"

    def __str__(self) -> str:
        return self.name or self.username


class Team(models.Model):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=120)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """One role of one person: in a team, or everywhere when the team is empty."""

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships", null=True, blank=True)
    role = models.CharField(max_length=16, choices=Role.choices)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["person", "team", "role"], name="membership_once", nulls_distinct=False),
        ]


class Invitation(models.Model):
    """Somebody may become a person here, once, with these roles. Of the link only a hash is kept."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    digest = models.CharField(max_length=64, unique=True)  # SHA-256 of what the link ends in
    email = models.EmailField(blank=True)
    name = models.CharField(max_length=120, blank=True)
    roles = models.JSONField(default=list)  # [{"role": …, "team": slug or null}]
    by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")  # who came of it
    withdrawn_at = models.DateTimeField(null=True)

    @property
    def public_id(self) -> str:
        return shown("inv", self.id)


class SignIn(models.Model):
    """A browser in which a person is signed in. The row goes when they sign out, or when it is ended elsewhere."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="sign_ins")
    session_key = models.CharField(max_length=40, unique=True)
    at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())
    address = models.CharField(max_length=64, blank=True)
    agent = models.CharField(max_length=200, blank=True)  # what the browser calls itself

    @property
    def public_id(self) -> str:
        return shown("sig", self.id)


class ApiKey(models.Model):
    """A key for the API: only its hash is kept, with what it may be used for and until when."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="api_keys")
    label = models.CharField(max_length=120, blank=True)
    digest = models.CharField(max_length=64, unique=True)  # SHA-256 of the secret, in hexadecimal
    hint = models.CharField(max_length=12)  # the first characters, so that people recognise a key
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    used_at = models.DateTimeField(null=True, blank=True)

    @property
    def public_id(self) -> str:
        return shown("key", self.id)


class AuditRow(models.Model):
    """Who changed what, when and by which door. Inserted in the change's own transaction; never altered (a trigger refuses it)."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(db_default=Now())
    actor = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    actor_name = models.CharField(max_length=120)  # a person's username, or the part of the system that acted
    key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, null=True, related_name="+")
    door = models.CharField(max_length=16)  # page | api | cli | worker
    action = models.CharField(max_length=64)  # "run.start", "approval.decide", …
    subject_kind = models.CharField(max_length=32)
    subject = models.CharField(max_length=160)
    data = models.JSONField(default=dict)
    request = models.CharField(
        max_length=24, db_default="", default="", blank=True
    )  # its number, as error pages and log lines name it
    address = models.CharField(max_length=64, db_default="", default="", blank=True)  # of the network

    class Meta:
        indexes = [
            models.Index(fields=["subject_kind", "subject", "id"], name="audit_by_subject"),
            models.Index(fields=["actor", "id"], name="audit_by_actor", condition=Q(actor__isnull=False)),
        ]

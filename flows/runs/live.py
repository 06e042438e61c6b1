"""``/ws/live?topics=run:<id>,runs,inbox&after=<seq>&rights=<mark>``: what happens, as it happens.

A run's topic sends each event after `after` once and in order, then what follows; the text of calls in progress comes beside
them, from its beginning; of a run of which anything is hidden, neither data of events nor texts are sent.
``inbox``, ``runs`` and ``errands`` are doorbells: their data say only that something changed. Frames are JSON: events
``{topic, seq, data}``, the rest ``{topic, data}``. Rights are checked at subscribe, when they change, and
every minute; who may go on after a change hears ``{"topic": "rights"}``, also of one since the page with this `rights` mark
was rendered.

Closing codes: 4400 the address is wrong, 4401 not signed in, 4404 a topic that one may not see (any more).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import psycopg
import redis.asyncio
from channels.consumer import get_handler_name
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from flows.access.actor import Actor
from flows.access.keys import key_behind
from flows.access.masking import hiding
from flows.access.querysets import runs_for
from flows.access.refusals import Forbidden
from flows.access.rights import Right, require_scope
from flows.execution.doorbells import ERRANDS, INBOX, RIGHTS, errands_group, run_group
from flows.models import Person, Run
from flows.models.identifiers import UnknownIdentifier, parsed, shown
from flows.runs.feeds import IN_PROGRESS, Event, Feed, feeds

log = logging.getLogger(__name__)

MOST_TOPICS = 20
RIGHTS_ARE_CHECKED_EVERY = 60.0  # seconds; a change is told at once, unless Redis loses it
MOST_TEXTS = 200  # pieces of text that wait for a slow socket; then the whole text is read anew
LAYER_PATIENCE = 2.0  # seconds that Redis gets; without it the feed's poll goes on
INBOX_POLL = 10.0  # seconds
RUNS = "runs"
DOORBELLS = (INBOX, RUNS, ERRANDS)

BAD_ADDRESS, NOT_SIGNED_IN, NOT_VISIBLE = 4400, 4401, 4404


@dataclass(eq=False)
class Topic:
    """One run that a socket watches: how far it has seen, and the text that waits to be sent."""

    name: str
    run_id: UUID
    cursor: int
    feed: Feed
    watcher: asyncio.Event
    hides: bool = False  # something of the run is kept from view: then it is only told that something happened
    texts: deque[dict[str, Any]] = field(default_factory=deque)
    texts_lost: bool = True  # at first, too: the text so far is read from Redis
    sent: dict[str, int] = field(default_factory=dict)  # how much of each call's text was sent


@dataclass(frozen=True, slots=True)
class Looked:
    """Who a socket is and what it may show: `refused` is the code with which it closes, 0 where it goes on; some of `hidden` runs'
    fields are kept from view; `mark` is of the person's rights."""

    refused: int = 0
    person: UUID | None = None
    hidden: frozenset[UUID] = frozenset()
    mark: str = ""


class LiveConsumer(AsyncWebsocketConsumer):
    """One socket."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.topics: dict[str, Topic] = {}  # by the run's identifier in hexadecimal
        self.inbox = False
        self.errands = ""  # the group of this person's errands, where the page shows them
        self.person: UUID | None = None
        self.checking = asyncio.Event()  # somebody said that rights changed
        self.mark = ""  # of the rights that the page shows
        self.list_watcher: asyncio.Event | None = None
        self.tasks: list[asyncio.Task[None]] = []
        self.turn = asyncio.Lock()  # one frame at a time
        self.redis: redis.asyncio.Redis | None = None

    async def dispatch(self, message: dict[str, Any]) -> None:
        """As Channels does it, without its turn of a thread before each message. That is for handlers that use Django's connection;
        of ours only `look` does, in a thread that sees to it. A busy run tells each of its sockets something a hundred times a second."""
        await getattr(self, get_handler_name(message))(message)

    async def connect(self) -> None:
        await self.accept()
        try:
            names, after, mark = self.wanted()
            runs = {name: parsed("run", name.removeprefix("run:")) for name in names if name not in DOORBELLS}
        except (ValueError, UnknownIdentifier):
            await self.close(BAD_ADDRESS)
            return
        await self.join(RIGHTS)  # before they are looked at: no change falls between
        inbox, listed = INBOX in names, RUNS in names
        looked = await self.look(set(runs.values()), inbox, listed)
        if looked.refused:
            await self.close(looked.refused)
            return
        self.person = looked.person
        # First to the group, then to what was before: nothing can fall between.
        for name, run_id in runs.items():
            await self.join(run_group(run_id))
            feed = feeds().feed(run_id)
            topic = Topic(name, run_id, after, feed, feed.watch(after), run_id in looked.hidden)
            self.topics[run_id.hex] = topic
            self.start(self.follow(topic))
            feed.ring()
        if inbox:
            self.inbox = True
            await self.join(INBOX)
            await self.send_frame({"topic": INBOX, "data": {"type": "changed"}})  # what came since the page was rendered
            self.start(self.poll_inbox())
        if ERRANDS in names and self.person is not None:
            self.errands = errands_group(self.person)
            await self.join(self.errands)
            await self.send_frame({"topic": ERRANDS, "data": {"type": "changed"}})
        if listed:
            self.list_watcher = feeds().list.watch()
            await self.send_frame({"topic": RUNS, "data": {"type": "changed"}})
            self.start(self.follow_list(self.list_watcher))
        self.mark = mark or looked.mark
        if self.mark != looked.mark:  # they changed after the page was rendered and before this socket could be told
            self.checking.set()
        self.start(self.check_rights(set(runs.values()), inbox, listed))

    async def disconnect(self, code: int) -> None:
        for task in self.tasks:
            task.cancel()
        for topic in self.topics.values():
            await feeds().leave(topic.feed, topic.watcher)
            await self.part(run_group(topic.run_id))
        if self.list_watcher is not None:
            await feeds().leave_list(self.list_watcher)
        await self.part(RIGHTS)
        if self.inbox:
            await self.part(INBOX)
        if self.errands:
            await self.part(self.errands)
        self.topics.clear()
        if self.redis is not None:
            await self.redis.aclose()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """What the browser sends is not listened to."""

    # --- from the channel layer

    async def doorbell(self, message: dict[str, Any]) -> None:
        if "topic" in message:
            await self.send_frame({"topic": message["topic"], "data": {"type": "changed"}})
            return
        topic = self.topics.get(str(message.get("run")))
        seq = int(message.get("seq") or 0)  # 0: the sender does not know it
        if topic is not None and (not seq or seq > topic.feed.newest):
            topic.feed.ring()

    async def rights(self, message: dict[str, Any]) -> None:
        """Somebody's rights changed: this person's, or (None) perhaps everybody's."""
        if message.get("person") in (None, self.person.hex if self.person is not None else None):
            self.checking.set()

    async def text(self, message: dict[str, Any]) -> None:
        """A piece of the text of a call in progress. `at` says where it begins, in characters of the whole."""
        topic = self.topics.get(str(message.get("run")))
        if topic is None or topic.hides:
            return
        if len(topic.texts) >= MOST_TEXTS:
            topic.texts.clear()
            topic.texts_lost = True
        elif not topic.texts_lost:
            topic.texts.append(message)
        topic.watcher.set()

    # --- what each topic does

    async def follow(self, topic: Topic) -> None:
        """Sends what is new whenever there is something new."""
        while True:
            await topic.watcher.wait()
            topic.watcher.clear()
            try:
                while events := await topic.feed.after(topic.cursor):
                    for event in events:
                        await self.send_event(topic, event)
                await self.send_texts(topic)
            except (psycopg.Error, OSError) as error:
                log.warning("socket of run %s: %s", topic.run_id, type(error).__name__)
                await asyncio.sleep(1.0)
                topic.watcher.set()

    async def send_event(self, topic: Topic, event: Event) -> None:
        body = event.hiding if topic.hides else event.whole
        frame = f'{{"topic": {json.dumps(topic.name)}, "seq": {event.seq}, "data": {body}}}'
        async with self.turn:
            await self.send(text_data=frame)
        topic.cursor = event.seq

    async def send_texts(self, topic: Topic) -> None:
        if topic.hides:
            return
        if topic.texts_lost:
            topic.texts_lost = False
            await self.send_whole_texts(topic)
        while topic.texts:
            message = topic.texts.popleft()
            await self.send_text(topic, str(message["call"]), str(message["path"]), str(message["text"]), int(message["at"]))

    async def send_whole_texts(self, topic: Topic) -> None:
        """The text so far of each call in progress, from the key that the engine keeps while it streams."""
        calls = await feeds().reader.rows(IN_PROGRESS, topic.run_id)
        if not calls:
            return
        try:
            texts = await asyncio.wait_for(self.client().mget([f"text:{call.hex}" for call, _ in calls]), LAYER_PATIENCE)
        except (redis.RedisError, OSError, TimeoutError):
            return
        for (call, path), text in zip(calls, texts, strict=True):
            if text:
                await self.send_text(topic, shown("call", call), path, str(text), 0)

    async def send_text(self, topic: Topic, call: str, path: str, text: str, at: int) -> None:
        """Sends the part of `text` that was not sent yet; a piece that does not follow on makes the whole be read again."""
        sent = topic.sent.get(call, 0)
        if at > sent:
            topic.texts_lost = True
            topic.watcher.set()
            return
        fresh = text[sent - at :]
        if not fresh:
            return
        topic.sent[call] = sent + len(fresh)
        await self.send_frame(
            {"topic": topic.name, "data": {"type": "text", "path": path, "call": call, "text": fresh, "at": sent}}
        )

    async def follow_list(self, watcher: asyncio.Event) -> None:
        """Rings whenever a run began, went on or ended. Which, and whether one may see it, the page finds out when it asks."""
        while True:
            await watcher.wait()
            watcher.clear()
            await self.send_frame({"topic": RUNS, "data": {"type": "changed"}})

    async def poll_inbox(self) -> None:
        """Rings now and then by itself, since a doorbell may be lost."""
        while True:
            await asyncio.sleep(INBOX_POLL)
            await self.send_frame({"topic": INBOX, "data": {"type": "changed"}})

    async def check_rights(self, runs: set[UUID], inbox: bool, listed: bool) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.checking.wait(), RIGHTS_ARE_CHECKED_EVERY)
            self.checking.clear()
            looked = await self.look(runs, inbox, listed)
            if looked.refused:
                await self.close(looked.refused)
            elif looked.mark != self.mark:
                self.mark = looked.mark
                await self.send_frame({"topic": RIGHTS, "data": {"type": "changed"}})

    # --- who and what

    def wanted(self) -> tuple[list[str], int, str]:
        """The topics, the number of the last event that the browser has, and the mark of the rights that its page was rendered for
        ("": it does not say). Raises ValueError."""
        query = parse_qs(self.scope["query_string"].decode("utf-8", "replace"))
        names = [name for name in ",".join(query.get("topics", [])).split(",") if name]
        after = int(query.get("after", ["0"])[0])
        if not names or len(names) > MOST_TOPICS or not 0 <= after < 2**31:
            raise ValueError("topics and after")
        if any(name not in DOORBELLS and not name.startswith("run:") for name in names):
            raise ValueError("topics")
        return list(dict.fromkeys(names)), after, query.get("rights", [""])[0]

    def actor(self) -> Actor | None:
        """Who this is, as the database knows them now; None where they are nobody any more."""
        for name, value in self.scope.get("headers", []):
            if name.lower() == b"authorization":
                scheme, _, secret = value.decode("latin-1").partition(" ")
                key = key_behind(secret.strip()) if scheme.lower() == "bearer" else None
                return Actor(person=key.person, key=key, door="api") if key is not None else None
        user = self.scope.get("user")
        if user is None or not user.is_authenticated:
            return None
        session = self.scope.get("session")
        if session is None or not session.exists(session.session_key):  # signed out, here or from elsewhere
            return None
        person = Person.objects.filter(id=user.pk, is_active=True).first()
        return Actor(person=person) if person is not None else None

    async def look(self, runs: set[UUID], inbox: bool, listed: bool) -> Looked:
        """All that a socket needs of the database, in one turn of a thread: a hundred of them may come at once."""
        return await database_sync_to_async(self._look)(runs, inbox, listed)

    def _look(self, runs: set[UUID], inbox: bool, listed: bool) -> Looked:
        actor = self.actor()
        if actor is None:
            return Looked(NOT_SIGNED_IN)
        if not _visible(actor, runs, inbox, listed):
            return Looked(NOT_VISIBLE)
        person = actor.person.id if actor.person is not None else None
        return Looked(0, person, frozenset(_hiding(runs)) if runs else frozenset(), actor.holdings.mark)

    # --- plumbing

    def start(self, work: Any) -> None:
        self.tasks.append(asyncio.create_task(work))

    async def send_frame(self, frame: dict[str, Any]) -> None:
        async with self.turn:
            await self.send(text_data=json.dumps(frame))

    async def join(self, group: str) -> None:
        try:
            await asyncio.wait_for(self.channel_layer.group_add(group, self.channel_name), LAYER_PATIENCE)
        except Exception as error:  # noqa: BLE001 - whatever Redis does, the poll goes on
            log.info("no doorbells for a socket: %s", type(error).__name__)

    async def part(self, group: str) -> None:
        try:
            await asyncio.wait_for(self.channel_layer.group_discard(group, self.channel_name), LAYER_PATIENCE)
        except Exception:  # noqa: BLE001
            log.debug("a socket could not leave its group")

    def client(self) -> redis.asyncio.Redis:
        if self.redis is None:
            never = Retry(NoBackoff(), 0)  # redis-py's own default tries for seconds
            self.redis = redis.asyncio.Redis.from_url(
                settings.REDIS_ADDRESS,
                decode_responses=True,
                socket_timeout=LAYER_PATIENCE,
                socket_connect_timeout=1.0,
                retry=never,
            )
        return self.redis


def _hiding(runs: set[UUID]) -> set[UUID]:
    """Those of these runs whose flows mark anything as secret or personal."""
    versions = dict(Run.objects.filter(id__in=runs).values_list("id", "version_id"))
    marked = hiding(versions.values())
    return {run for run, version in versions.items() if version in marked}


def _visible(actor: Actor, runs: set[UUID], inbox: bool, listed: bool) -> bool:
    try:
        if runs or listed:
            require_scope(actor, Right.SEE_RUNS)
        if inbox:
            require_scope(actor, Right.SEE_REQUESTS)
    except Forbidden:
        return False
    return runs_for(actor).filter(id__in=runs).count() == len(runs)

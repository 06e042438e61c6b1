"""Finding the passages that answer a question: by words, by meaning, and both together.

Words: the sum over the question's lexemes of how rare each is in the base times how often the passage says it (the idea of tf-idf),
by PostgreSQL's full text search. Meaning: the cosine of the question's vector and the passage's, by pgvector, compared with every
passage of the base, so that nothing is missed. Both orders are fused by reciprocal rank: 1 / (10 + rank), added up (Cormack, Clarke
and Büttcher, SIGIR 2009; their 60 suits lists of a thousand, and finds less in the first five: docs/decisions).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

import orjson

from flows.models.identifiers import shown
from flows.retrieval.embedding import Vector, as_sql

Way = Literal["words", "meaning", "both"]
MOST: Final = 50  # passages that one search gives
LONGEST_QUERY: Final = 8_000  # characters

HAS_VECTORS: Final = """
SELECT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = 'flows_passage'::regclass AND attname = 'vector' AND NOT attisdropped)
"""

BASE: Final = """
SELECT b.id, b.language, ({HAS_VECTORS}), b.embedding FROM flows_knowledgebase b
WHERE b.slug = %(base)s AND (b.team_id IS NULL OR b.team_id = (
    SELECT f.team_id FROM flows_run r JOIN flows_flow f ON f.id = r.flow_id WHERE r.id = %(run)s))
""".replace("{HAS_VECTORS}", HAS_VECTORS)
"""A base by its name, for a run of a flow that may search it: its identifier, its language, whether passages have vectors, and the
model that makes them."""

_WORDS: Final = """
terms AS MATERIALIZED (
    SELECT quote_literal(lexeme)::tsquery AS term FROM unnest(to_tsvector(%(language)s::regconfig, %(query)s))
    WHERE strpos(lexeme, chr(92)) = 0 LIMIT 40
),
passages AS (
    SELECT p.id, p.words FROM flows_passage p JOIN flows_knowledgedocument d ON d.id = p.document_id
    WHERE p.base_id = %(base)s AND (d.facts || jsonb_build_object('source', d.source)) @> %(filter)s::jsonb
),
weights AS MATERIALIZED (
    SELECT term, ln(1 + (SELECT count(*) FROM passages) / (0.5 + (SELECT count(*) FROM passages WHERE words @@ term))) AS weight
    FROM terms
),
by_words AS (
    SELECT id, share, row_number() OVER (ORDER BY weight DESC, id) AS rank FROM (
        SELECT p.id, sum(w.weight * ts_rank(p.words, w.term, 1)) AS weight,
            count(*)::float8 / (SELECT count(*) FROM terms) AS share
        FROM weights w JOIN passages p ON p.words @@ w.term GROUP BY p.id
    ) found ORDER BY weight DESC, id LIMIT 100
)
"""
_MEANING: Final = """
by_meaning AS (
    SELECT id, row_number() OVER (ORDER BY distance, id) AS rank FROM (
        SELECT p.id, p.vector <=> %(vector)s::vector AS distance FROM flows_passage p
        JOIN flows_knowledgedocument d ON d.id = p.document_id
        WHERE p.base_id = %(base)s AND p.vector IS NOT NULL AND p.embedded_by = %(by)s
            AND (d.facts || jsonb_build_object('source', d.source)) @> %(filter)s::jsonb
        ORDER BY distance, id LIMIT 100
    ) nearest
)
"""
_FUSED: Final[Mapping[Way, str]] = {
    "words": "SELECT id, share, 1.0 / (10 + rank) AS fused FROM by_words",
    "meaning": "SELECT id, NULL::float8 AS share, 1.0 / (10 + rank) AS fused FROM by_meaning",
    "both": """SELECT id, w.share, coalesce(1.0 / (10 + w.rank), 0) + coalesce(1.0 / (10 + m.rank), 0) AS fused
        FROM by_words w FULL JOIN by_meaning m USING (id)""",
}
_FOUND: Final = """
SELECT id, document_id, source, text, score FROM (
    SELECT p.id, p.document_id, d.source, p.text, f.fused, greatest(coalesce(f.share, 0), {cosine}) AS score
    FROM ({fused}) f JOIN flows_passage p USING (id) JOIN flows_knowledgedocument d ON d.id = p.document_id
) found WHERE score >= %(least)s ORDER BY fused DESC, score DESC, id LIMIT %(top)s
"""


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found. `score` is from 0 to 1: the greater of the share of the question's words that it has and the cosine
    of their meanings."""

    id: UUID
    document: UUID
    source: str
    text: str
    score: float

    @property
    def public_id(self) -> str:
        return shown("psg", self.id)

    def as_json(self) -> dict[str, Any]:
        """As a step gives it."""
        return {"id": self.public_id, "text": self.text, "source": self.source, "score": round(self.score, 4)}


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for: `top` passages of at least the score `least`, of documents whose facts (and `source`) hold `filter`."""

    query: str
    top: int = 5
    filter: Mapping[str, Any] | None = None
    least: float = 0.0


def statement(
    search: Search, base: UUID, language: str, vector: Vector | None, way: Way = "both", by: str = ""
) -> tuple[str, dict[str, Any]]:
    """The SQL of a search and its parameters; `by` is the model that made the vector, without which words alone decide. Its rows are the
    fields of `Hit`."""
    way = "words" if vector is None else way
    parts = {"words": _WORDS, "meaning": _MEANING, "both": f"{_WORDS}, {_MEANING}"}
    cosine = (
        "CASE WHEN p.embedded_by = %(by)s THEN coalesce(1 - (p.vector <=> %(vector)s::vector), 0) ELSE 0 END"
        if vector is not None
        else "0"
    )
    sql = f"WITH {parts[way]} {_FOUND.format(cosine=cosine, fused=_FUSED[way])}"
    return sql, {
        "base": base,
        "by": by,
        "language": language,
        "query": search.query[:LONGEST_QUERY],
        "filter": orjson.dumps(dict(search.filter or {})).decode(),
        "vector": as_sql(vector) if vector is not None else None,
        "least": search.least,
        "top": min(search.top, MOST),
    }


def hits_of(rows: list[tuple[Any, ...]]) -> list[Hit]:
    return [Hit(id_, document, source, text, float(score)) for id_, document, source, text, score in rows]

"""The alert, in the words and values of CAP 1.2.

`Submission` is what a caller posts; `Alert` is the same thing complete, as it is stored and never
changes again. Field names on the wire are CAP's own (`msgType`); Python uses `msg_type`.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError


class Status(StrEnum):
    """CAP 1.2 `status`: how the alert is meant to be handled."""

    ACTUAL = "Actual"
    EXERCISE = "Exercise"
    SYSTEM = "System"
    TEST = "Test"
    DRAFT = "Draft"


class MsgType(StrEnum):
    """CAP 1.2 `msgType`: the nature of the message."""

    ALERT = "Alert"
    UPDATE = "Update"
    CANCEL = "Cancel"
    ACK = "Ack"
    ERROR = "Error"


class Scope(StrEnum):
    """CAP 1.2 `scope`: who may read it. Only Public is ever published."""

    PUBLIC = "Public"
    RESTRICTED = "Restricted"
    PRIVATE = "Private"


class Category(StrEnum):
    """CAP 1.2 `category`."""

    GEO = "Geo"
    MET = "Met"
    SAFETY = "Safety"
    SECURITY = "Security"
    RESCUE = "Rescue"
    FIRE = "Fire"
    HEALTH = "Health"
    ENV = "Env"
    TRANSPORT = "Transport"
    INFRA = "Infra"
    CBRNE = "CBRNE"
    OTHER = "Other"


class ResponseType(StrEnum):
    """CAP 1.2 `responseType`: what people are asked to do."""

    SHELTER = "Shelter"
    EVACUATE = "Evacuate"
    PREPARE = "Prepare"
    EXECUTE = "Execute"
    AVOID = "Avoid"
    MONITOR = "Monitor"
    ASSESS = "Assess"
    ALL_CLEAR = "AllClear"
    NONE = "None"


class Urgency(StrEnum):
    """CAP 1.2 `urgency`, the most urgent first."""

    IMMEDIATE = "Immediate"
    EXPECTED = "Expected"
    FUTURE = "Future"
    PAST = "Past"
    UNKNOWN = "Unknown"


class Severity(StrEnum):
    """CAP 1.2 `severity`, the gravest first."""

    EXTREME = "Extreme"
    SEVERE = "Severe"
    MODERATE = "Moderate"
    MINOR = "Minor"
    UNKNOWN = "Unknown"

    @property
    def rank(self) -> int:
        """0 for Extreme, rising to 4 for Unknown."""
        return list(Severity).index(self)


class Certainty(StrEnum):
    """CAP 1.2 `certainty`, the surest first. The deprecated "Very Likely" is refused."""

    OBSERVED = "Observed"
    LIKELY = "Likely"
    POSSIBLE = "Possible"
    UNLIKELY = "Unlikely"
    UNKNOWN = "Unknown"


# What no warning text needs: characters that reorder, hide or break it (ASCII and C1 controls,
# bidirectional overrides and isolates, surrogates, noncharacters).
_REFUSED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
    "\ufdd0-\ufdef\U000e0001"
    + "".join(
        f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
    )
    + "]"
)
_LINE_BREAKS = re.compile("\r\n|[\r\x85\u2028\u2029]")
_INVISIBLE = re.compile("[\u200b\u2060\ufeff\u00ad]")
_MARKS = frozenset({"Mn", "Me"})  # by category: the combining class of some is 0
_FORMAT = "Cf"
_COMBINING_RUN_MAX = 4


def clean(text: str) -> str:
    """Return `text` in NFC, with plain line feeds and without invisible fillers.

    Raises a pydantic error with a stable type for characters that could make a warning read
    differently from what was written (controls, bidirectional overrides, lone surrogates).
    """
    if found := _REFUSED.search(text):
        code = f"U+{ord(found.group()):04X}"
        raise PydanticCustomError(
            "text_character",
            "contains the character {code} at position {position}, which is not allowed in a text",
            {"code": code, "position": found.start()},
        )
    # NFC last: a filler between a letter and its accent had kept the two apart.
    text = unicodedata.normalize("NFC", _INVISIBLE.sub("", _LINE_BREAKS.sub("\n", text)))
    if _longest_combining_run(text) > _COMBINING_RUN_MAX:
        raise PydanticCustomError(
            "text_combining",
            "stacks more than {most} combining marks",
            {"most": _COMBINING_RUN_MAX},
        )
    return text.replace("\t", " ").strip()


def _longest_combining_run(text: str) -> int:
    longest = run = 0
    for character in text:
        kind = unicodedata.category(character)
        if kind in _MARKS:
            run += 1
        elif kind != _FORMAT:  # a joiner between marks ends no stack
            run = 0
        longest = max(longest, run)
    return longest


def _one_line(text: str) -> str:
    return " ".join(text.split())


_DATE_TIME = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)", re.ASCII
)


def _date_time(value: object) -> object:
    """Read CAP's dateTime: full date, time with seconds, and an offset. Nothing else."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _DATE_TIME.fullmatch(value):
        raise PydanticCustomError(
            "date_time", "must be a date and time with offset, like 2026-11-22T20:00:00+01:00"
        )
    try:
        moment = datetime.fromisoformat(value)
        moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise PydanticCustomError(
            "date_time", "is not a real date and time: {why}", {"why": str(error)}
        ) from None
    return moment.replace(microsecond=0)


def cap_time(moment: datetime) -> str:
    """Return an aware time in CAP's dateTime format (ISO 8601 with offset, whole seconds)."""
    return moment.replace(microsecond=0).isoformat()


CapTime = Annotated[
    datetime,
    BeforeValidator(_date_time, json_schema_input_type=str),
    PlainSerializer(cap_time, return_type=str),
]


def _not_blank(text: str) -> str:
    if not text:
        raise PydanticCustomError("blank", "must not be empty or blank")
    return text


Text = Annotated[str, AfterValidator(clean), AfterValidator(_not_blank)]
Line = Annotated[str, AfterValidator(clean), AfterValidator(_one_line), AfterValidator(_not_blank)]
# CAP 1.2 forbids spaces, commas, < and & in sender and identifier: references are built of them.
Token = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, pattern=r"^[^\s,<&]+$"),
    AfterValidator(clean),
    AfterValidator(_not_blank),
]
Language = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}$", max_length=35)
]


class CapModel(BaseModel):
    """Frozen, strict, with CAP's names on the wire; an unknown field is an error."""

    model_config = ConfigDict(
        alias_generator=AliasGenerator(alias=to_camel),
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        strict=True,
    )


def _enum(kind: type[StrEnum]) -> BeforeValidator:
    """Let strict mode take CAP's exact strings, and say which there are when it is none of them."""

    def read(value: object) -> object:
        if isinstance(value, str) and value in set(kind):
            return kind(value)
        raise PydanticCustomError(
            "enum", "must be one of {expected}", {"expected": ", ".join(kind)}
        )

    return BeforeValidator(read, json_schema_input_type=kind)


class NamedValue(CapModel):
    """CAP's `valueName`/`value` pair, as in `geocode`, `eventCode` and `parameter`."""

    value_name: Annotated[Line, Field(max_length=100)]
    value: Annotated[Line, Field(max_length=500)]


_POINT = r"-?[0-9]{1,3}(\.[0-9]+)?,-?[0-9]{1,3}(\.[0-9]+)?"
Polygon = Annotated[
    str, StringConstraints(pattern=rf"^{_POINT}( {_POINT}){{3,}}$", max_length=20_000)
]
Circle = Annotated[str, StringConstraints(pattern=rf"^{_POINT} [0-9]{{1,5}}(\.[0-9]+)?$")]


class Area(CapModel):
    """CAP `area`: where. `area_desc` is what people read; the rest is for machines."""

    area_desc: Annotated[Line, Field(max_length=200)]
    polygon: Annotated[list[Polygon], Field(max_length=100)] = []
    circle: Annotated[list[Circle], Field(max_length=100)] = []
    geocode: Annotated[list[NamedValue], Field(max_length=500)] = []
    altitude: float | None = None
    ceiling: float | None = None


class Info(CapModel):
    """CAP `info`: the content in one language."""

    language: Language
    category: Annotated[
        list[Annotated[Category, _enum(Category)]], Field(min_length=1, max_length=12)
    ]
    event: Annotated[Line, Field(max_length=100)]
    response_type: Annotated[
        list[Annotated[ResponseType, _enum(ResponseType)]], Field(max_length=9)
    ] = []
    urgency: Annotated[Urgency, _enum(Urgency)]
    severity: Annotated[Severity, _enum(Severity)]
    certainty: Annotated[Certainty, _enum(Certainty)]
    audience: Annotated[Line, Field(max_length=200)] | None = None
    event_code: Annotated[list[NamedValue], Field(max_length=50)] = []
    effective: CapTime | None = None
    onset: CapTime | None = None
    expires: CapTime | None = None
    sender_name: Annotated[Line, Field(max_length=200)] | None = None
    headline: Annotated[Line, Field(max_length=160)] | None = None
    description: Annotated[Text, Field(max_length=4000)] | None = None
    instruction: Annotated[Text, Field(max_length=4000)] | None = None
    web: (
        Annotated[
            str,
            StringConstraints(
                pattern=r"^https?://[^\s<>\"@/?#\u200b\u2060\ufeff\u00ad][^\s<>\"@]{0,499}$"
            ),
            AfterValidator(clean),
        ]
        | None
    ) = None
    contact: Annotated[Line, Field(max_length=200)] | None = None
    parameter: Annotated[list[NamedValue], Field(max_length=100)] = []
    area: Annotated[list[Area], Field(max_length=200)] = []

    @property
    def place(self) -> str:
        """All area descriptions in one line."""
        return ", ".join(area.area_desc for area in self.area)


class Submission(CapModel):
    """An alert as a caller posts it: `identifier`, `sent` and `scope` may be left out.

    `references` is CAP's string of `sender,identifier,sent` triples, or a list of our alert ids.
    """

    identifier: Token | None = None
    sender: Token
    sent: CapTime | None = None
    status: Annotated[Status, _enum(Status)]
    msg_type: Annotated[MsgType, _enum(MsgType)]
    source: Annotated[Line, Field(max_length=200)] | None = None
    scope: Annotated[Scope, _enum(Scope)] = Scope.PUBLIC
    code: Annotated[list[Annotated[Line, Field(max_length=100)]], Field(max_length=20)] = []
    note: Annotated[Text, Field(max_length=1000)] | None = None
    references: (
        Annotated[str, StringConstraints(min_length=1, max_length=4000)]
        | Annotated[
            list[Annotated[str, StringConstraints(min_length=1, max_length=200)]],
            Field(min_length=1, max_length=50),
        ]
        | None
    ) = None
    incidents: Annotated[Line, Field(max_length=500)] | None = None
    info: Annotated[list[Info], Field(max_length=20)] = []

    @property
    def is_all_clear(self) -> bool:
        """A Cancel, or a message that asks for nothing but AllClear."""
        return self.msg_type is MsgType.CANCEL or any(
            ResponseType.ALL_CLEAR in info.response_type for info in self.info
        )

    @property
    def severity(self) -> Severity:
        """The severity all `info` blocks agree on; Unknown where there is no block."""
        return self.info[0].severity if self.info else Severity.UNKNOWN

    @property
    def expires(self) -> datetime | None:
        """The latest `expires` of all `info` blocks, or None when none has one."""
        return max((info.expires for info in self.info if info.expires), default=None)

    def content_key(self) -> str:
        """Return a hash of what the alert says, without times and identifiers.

        Two alerts with the same key are the same warning written twice (status, msgType,
        references and all info without times).
        """
        body = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        said: dict[str, Any] = {
            name: body.get(name) for name in ("status", "msgType", "references")
        }
        times = ("expires", "effective", "onset")
        said["info"] = [{k: v for k, v in info.items() if k not in times} for info in body["info"]]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


class Alert(Submission):
    """An accepted alert: complete, and never changed again."""

    identifier: Token
    sent: CapTime

    def to_json(self) -> dict[str, Any]:
        """Return the alert with CAP's names, without what was left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

"""Language packs: one YAML file holds all that the generator knows of a language.

A language is added by adding a file; no code names one, and ``pack_checks.py`` says what is still
missing. In every text ``{name}`` is a slot and ``{name:form}`` one of its inflected forms. Alternatives
have an id; one that begins with ``x_`` is kept out of training.

- ``frames``: sentences around ``{clause}``, each with the verb ``form`` it takes and the ``join`` between
  two clauses. ``clauses``: the order of verb, object and slots for each form; ``question`` has no verb.
- ``verbs``: the forms of each verb, or one text for all. ``intents``: for each tool the verbs, the
  objects and whole questions (``needs``/``without``: slots that must or must not be said with it), its own
  ``phrases``, and the ``result`` that the assistant tells. ``chains``: the halves of two-call requests.
- ``parameters``: the phrase around a value, what the assistant asks when it is missing (``ask``) and words
  that name it (``mentions``), what a user says who does not mind (``any``), and whether it stands
  ``last`` in a sentence, as free text does.
- ``lexicon``: what users say for each value of a closed kind, by form; number words may be left out.
  ``pieces``, ``towns``, ``syllables``: of what open values are made. ``dates``, ``months``, ``clock``,
  ``decimal``, ``objects``, ``join_items``, ``join_slots``: how values are written.
- ``euphony``: words that change before some letters. ``informal``: letters typed without the keyboard.
- ``refuse``, ``error_answer``, ``errors``, ``chat``, ``chat_frames``, ``replies``: the
  rest of what assistant and user say. ``descriptions``: of tools and kinds of slots, in the language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...rows import RowError
from .library import load_library, read_yaml
from .pack_checks import check_pack, check_sections
from .pack_model import Head, Intent, Pack, Template, template

FOLDER = Path(__file__).parents[1] / "languages"


def languages() -> tuple[str, ...]:
    """Languages that have a pack."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


@lru_cache
def load_pack(language: str) -> Pack:
    """The pack of a language.

    Raises:
        RowError: If there is none, or for the first thing that it lacks.
    """
    if language not in languages():
        raise RowError(f"function_calls · languages · found {language!r} · one of {', '.join(languages())}")
    return read_pack(FOLDER / f"{language}.yaml")


def read_pack(path: Path) -> Pack:
    """Read and check a pack.

    Raises:
        RowError: For the first missing key or form, with file, key and fix.
    """
    data = check_sections(read_yaml(path), path.name)
    pack = Pack(
        language=data["language"],
        data=data,
        intents=_intents(data),
        verbs={
            name: dict.fromkeys(data["clauses"], spec) if isinstance(spec, str) else spec
            for name, spec in data["verbs"].items()
        },
        frames=data["frames"],
        last=frozenset(name for name, spec in data["parameters"].items() if spec.get("last")),
        euphony=tuple(_euphony(data.get("euphony", {}))),
        lexicon={kind: _words(entries) for kind, entries in data["lexicon"].items()},
        file=path.name,
    )
    return check_pack(pack, load_library())


def _euphony(rules: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[re.Pattern[str], str]]:
    """A word that takes another shape before some letters, as a pattern and that shape."""
    for word, rule in rules.items():
        yield re.compile(rf"(?<!\w)({word})(?= [{rule['before']}])", re.IGNORECASE), rule["use"]


def _words(entries: Mapping[Any, Any]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Value to form to alternatives; a bare text or list is the plain form."""
    return {
        str(value): {
            form: (texts,) if isinstance(texts, str) else tuple(texts)
            for form, texts in (spec if isinstance(spec, dict) else {"": spec}).items()
        }
        for value, spec in entries.items()
    }


def _intents(data: dict[str, Any]) -> dict[str, Intent]:
    common = {name: _templates(spec.get("phrases", {})) for name, spec in data["parameters"].items()}
    halves = {f"{name}.{half}": spec for name, chain in data["chains"].items() for half, spec in chain.items()}
    found = {}
    for name, spec in (data["intents"] | halves).items():
        own = {slot: _templates(texts) for slot, texts in spec.get("phrases", {}).items()}
        result = template(spec["result"]) if "result" in spec else None
        found[name] = Intent(tuple(_heads(spec)), common | own, result)
    return found


def _templates(texts: dict[str, str]) -> dict[str, Template]:
    return {name: template(text) for name, text in texts.items()}


def _heads(spec: dict[str, Any]) -> Iterator[Head]:
    for section in ("objects", "questions"):
        for name, value in spec.get(section, {}).items():
            options = value if isinstance(value, dict) else {"text": value}
            text = template(options["text"])
            verbs = tuple(options.get("verbs", spec.get("verbs", ()))) if section == "objects" else ()
            needs = frozenset((*options.get("needs", ()), *text.slots))
            yield Head(name, text, verbs, needs, frozenset(options.get("without", ())))

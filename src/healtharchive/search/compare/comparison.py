"""Two documents, section by section and sentence by sentence: what stayed, came, went and moved."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from healtharchive.search.compare import alignment
from healtharchive.search.compare.alignment import Link
from healtharchive.search.compare.document import Document, Section, Sentence
from healtharchive.search.compare.wording import Fact, Mark, Run, compared_runs, plain_runs

LEAST_ALIKE = 0.5  # of two sentences that are one, changed, and of two sections
MOST_HOLDERS = 4  # sections a sentence stands in; one that is everywhere tells nothing


class Kind(StrEnum):
    """What happened to a sentence."""

    SAME = "same"
    CHANGED = "changed"
    REMOVED = "removed"
    ADDED = "added"
    MOVED_AWAY = "moved_away"  # it stands elsewhere on the new page
    MOVED_HERE = "moved_here"


@dataclass(frozen=True, slots=True)
class Piece:
    """A sentence, or what became of it. `old` is empty for what came, `new` for what went.

    `runs` are both together, none for what stayed; `frame`: it belongs to the page's frame and
    counts for nothing.
    """

    kind: Kind
    old: str
    new: str
    runs: tuple[Run, ...] = ()
    opens: bool = False
    heading: bool = False
    frame: bool = False

    @property
    def counts(self) -> bool:
        """Whether it is a change of the content."""
        return self.kind is not Kind.SAME and not self.frame

    @property
    def facts(self) -> list[tuple[Mark, Fact]]:
        """The facts that only one side has, one entry for each."""
        return [(run.mark, run.fact) for run in self.runs if run.fact and run.mark != Mark.SAME]


@dataclass(frozen=True, slots=True)
class SectionChange:
    """A section of either page or both. `heading` is what the reader sees; empty for the top."""

    heading: str
    old_heading: str
    in_old: bool
    in_new: bool
    moved: bool
    pieces: tuple[Piece, ...]

    @property
    def changed(self) -> bool:
        """Whether anything in it is another than before."""
        return self.moved or any(each.kind is not Kind.SAME for each in self.pieces)


@dataclass(frozen=True, slots=True)
class Comparison:
    """All of two pages, the new page's sections in its order, those that went where they stood."""

    sections: tuple[SectionChange, ...]
    note: str = ""

    @property
    def pieces(self) -> list[Piece]:
        """Every sentence of either page."""
        return [piece for section in self.sections for piece in section.pieces]


def compare(old: Document, new: Document) -> Comparison:
    """What became of each sentence. The same for the same documents; turned round when they are."""
    links = _aligned(old.sections, new.sections)
    language = new.language or old.language
    work = [_work(old.sections, new.sections, i, j) for i, j in links]
    _find_moves(work)
    straight = alignment.rising([(i, j) for i, j in links if i is not None and j is not None])
    sections = tuple(
        _section(each, language, moved=each.both and (each.old_at, each.new_at) not in straight)
        for each in work
    )
    note = "; ".join(dict.fromkeys(filter(None, (old.note, new.note))))
    return Comparison(sections, note)


# -- sections --------------------------------------------------------------------------------------


def _aligned(old: Sequence[Section], new: Sequence[Section]) -> list[tuple[int | None, int | None]]:
    """The sections that belong together, in the order in which they are shown."""
    links = _by_path(old, new)
    links += _by_content(old, new, links)
    partner = {j: i for i, j in links}
    taken = {i for i, _ in links}
    gone = [i for i in range(len(old)) if i not in taken]
    shown: list[tuple[int | None, int | None]] = []
    for j in range(len(new)):
        i = partner.get(j)
        while i is not None and gone and gone[0] < i:
            shown.append((gone.pop(0), None))
        shown.append((i, j))
    return shown + [(i, None) for i in gone]


def _by_path(old: Sequence[Section], new: Sequence[Section]) -> list[Link]:
    places = {name: i for i, name in enumerate(_names(old))}
    return [(places[name], j) for j, name in enumerate(_names(new)) if name in places]


def _names(sections: Sequence[Section]) -> list[tuple[tuple[str, ...], int]]:
    seen: Counter[tuple[str, ...]] = Counter()
    names = []
    for section in sections:
        names.append((section.path, seen[section.path]))
        seen[section.path] += 1
    return names


def _by_content(
    old: Sequence[Section], new: Sequence[Section], linked: Sequence[Link]
) -> list[Link]:
    """Links between what is left, most alike first: a section under another heading, or moved."""
    free_old = [i for i in range(len(old)) if i not in {i for i, _ in linked}]
    free_new = [j for j in range(len(new)) if j not in {j for _, j in linked}]
    holders: dict[str, list[int]] = defaultdict(list)
    for i in free_old:
        for key in {each.key for each in old[i].sentences}:
            holders[key].append(i)
    shared: Counter[Link] = Counter()
    for j in free_new:
        for key in {each.key for each in new[j].sentences}:
            if len(holders[key]) <= MOST_HOLDERS:
                shared.update((i, j) for i in holders[key])
    ranked = sorted(
        (-2 * count / (len(old[i].sentences) + len(new[j].sentences)), abs(i - j), i + j, i, j)
        for (i, j), count in shared.items()
    )
    found: list[Link] = []
    done_old: set[int] = set()
    done_new: set[int] = set()
    for score, _, _, i, j in ranked:
        if -score >= LEAST_ALIKE and i not in done_old and j not in done_new:
            found.append((i, j))
            done_old.add(i)
            done_new.add(j)
    return found


# -- sentences -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Gap:
    """What stands between two sentences that stayed; `moved` are keys of what is elsewhere."""

    old: list[Sentence]
    new: list[Sentence]
    gone: set[int]
    come: set[int]


@dataclass(slots=True)
class _Work:
    old_at: int | None
    new_at: int | None
    old: Section | None
    new: Section | None
    steps: list[tuple[Sentence, Sentence] | _Gap]

    @property
    def both(self) -> bool:
        return self.old is not None and self.new is not None


def _work(old: Sequence[Section], new: Sequence[Section], i: int | None, j: int | None) -> _Work:
    before = old[i] if i is not None else None
    after = new[j] if j is not None else None
    left = list(before.sentences) if before else []
    right = list(after.sentences) if after else []
    links = alignment.in_order([each.key for each in left], [each.key for each in right])
    steps: list[tuple[Sentence, Sentence] | _Gap] = []
    a = b = 0
    for next_a, next_b in [*links, (len(left), len(right))]:
        if a < next_a or b < next_b:
            steps.append(_Gap(left[a:next_a], right[b:next_b], set(), set()))
        if next_a < len(left) and next_b < len(right):
            steps.append((left[next_a], right[next_b]))
        a, b = next_a + 1, next_b + 1
    return _Work(i, j, before, after, steps)


def _find_moves(work: Iterable[_Work]) -> None:
    """What went in one place and came in another, the first with the first."""
    gaps = [step for each in work for step in each.steps if isinstance(step, _Gap)]
    come: dict[str, deque[tuple[_Gap, int]]] = defaultdict(deque)
    for gap in gaps:
        for at, sentence in enumerate(gap.new):
            come[sentence.key].append((gap, at))
    for gap in gaps:
        for at, sentence in enumerate(gap.old):
            if come[sentence.key]:
                there, place = come[sentence.key].popleft()
                gap.gone.add(at)
                there.come.add(place)


def _section(work: _Work, language: str, *, moved: bool) -> SectionChange:
    pieces: list[Piece] = []
    for step in work.steps:
        if isinstance(step, _Gap):
            pieces += _changes(step, language)
        else:
            pieces.append(_same(*step))
    heading = _heading(work.new)
    old_heading = _heading(work.old)
    return SectionChange(
        heading or old_heading,
        old_heading,
        work.old is not None,
        work.new is not None,
        moved,
        tuple(pieces),
    )


def _heading(section: Section | None) -> str:
    if section is None or not section.path:
        return ""
    return section.sentences[0].text


def _changes(gap: _Gap, language: str) -> list[Piece]:
    old = [(at, each) for at, each in enumerate(gap.old) if at not in gap.gone]
    new = [(at, each) for at, each in enumerate(gap.new) if at not in gap.come]
    links = alignment.alike(
        [_bag(each) for _, each in old], [_bag(each) for _, each in new], LEAST_ALIKE
    )
    pairs = {old[i][0]: new[j][0] for i, j in links}
    pieces: list[Piece] = []
    at = 0
    for number, sentence in enumerate(gap.old):
        partner = pairs.get(number)
        if partner is None:
            kind = Kind.MOVED_AWAY if number in gap.gone else Kind.REMOVED
            pieces.append(_gone(kind, sentence, language))
            continue
        pieces += _came(gap, at, partner, language)
        pieces.append(_changed(sentence, gap.new[partner], language))
        at = partner + 1
    return pieces + _came(gap, at, len(gap.new), language)


def _came(gap: _Gap, start: int, end: int, language: str) -> list[Piece]:
    return [
        _new(Kind.MOVED_HERE if at in gap.come else Kind.ADDED, gap.new[at], language)
        for at in range(start, end)
    ]


def _bag(sentence: Sentence) -> Counter[str]:
    return Counter(sentence.key.casefold().split())


def _same(old: Sentence, new: Sentence) -> Piece:
    return Piece(Kind.SAME, old.text, new.text, (), new.opens, new.heading, new.frame)


def _changed(old: Sentence, new: Sentence, language: str) -> Piece:
    runs = compared_runs(old.text, new.text, language)
    frame = old.frame and new.frame
    heading = old.heading or new.heading
    return Piece(Kind.CHANGED, old.text, new.text, runs, new.opens, heading, frame)


def _gone(kind: Kind, old: Sentence, language: str) -> Piece:
    runs = plain_runs(old.text, language, Mark.REMOVED)
    return Piece(kind, old.text, "", runs, old.opens, old.heading, old.frame)


def _new(kind: Kind, new: Sentence, language: str) -> Piece:
    runs = plain_runs(new.text, language, Mark.ADDED)
    return Piece(kind, "", new.text, runs, new.opens, new.heading, new.frame)

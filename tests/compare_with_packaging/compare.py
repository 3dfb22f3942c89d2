"""The questions of tests/compare_with_packaging.sh, and whether the answers are those of `packaging`."""

import json
import random
import sys

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

# One target each: Python, machine, extras.
ENVIRONMENTS = [
    ("3.8.20", "x86_64", []),
    ("3.11.2", "aarch64", ["socks"]),
    ("3.13.0rc1", "x86_64", ["test", "Dev_Tools"]),
    ("3.13.5", "x86_64", []),
    ("3.14.0", "aarch64", ["all"]),
]
PROBES = [
    "0", "0.9", "1", "1.0.0", "1.0.dev0", "1.0a1", "1.0a1.dev1", "1.0b2", "1.0rc1", "1.0.post1", "1.0.post1.dev2",
    "1.0+local", "1.0+local.1", "1.0.post1+x", "1.1", "1.1.dev1", "1.2.3", "1.2.3.4", "1.2.4", "1.10", "2", "2.0a1",
    "2.0.post3", "2!1", "2!1.0a1", "2.7", "3", "3.8", "3.8.20", "3.10", "3.13", "3.13.0rc1", "2024.1", "1.0.0.0.0.1",
]


class Generator:
    """Strings of each grammar, most of them right, some with a random fault."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, *choices):
        return self.random.choice(choices)

    def sometimes(self, chance, text):
        return text if self.random.random() < chance else ""

    def number(self):
        return self.pick("0", "0", "1", "1", "2", "3", "9", "10", "00", "01", "2024", str(self.random.randrange(1000)))

    def separator(self):
        return self.pick("", "", ".", "-", "_")

    def version(self):
        text = self.sometimes(0.1, self.pick("v", "V")) + self.sometimes(0.1, self.number() + "!")
        text += ".".join(self.number() for _ in range(self.random.randrange(1, 5)))
        if self.random.random() < 0.3:
            text += self.separator() + self.pick("a", "b", "rc", "alpha", "beta", "c", "pre", "preview", "A", "RC")
            text += self.sometimes(0.8, self.separator() + self.number())
        if self.random.random() < 0.2:
            text += self.pick(
                self.separator() + self.pick("post", "rev", "r", "POST") + self.sometimes(0.8, self.separator() + self.number()),
                "-" + self.number(),
            )
        if self.random.random() < 0.2:
            text += self.separator() + self.pick("dev", "DEV") + self.sometimes(0.8, self.separator() + self.number())
        if self.random.random() < 0.1:
            text += "+" + self.pick(".", "-", "_").join(
                self.pick("a", "local", "1", "01", "ubuntu", "A1") for _ in range(self.random.randrange(1, 4))
            )
        return self.space() + text + self.space()

    def space(self):
        return self.sometimes(0.05, self.pick(" ", "  ", "\t", "\n"))

    def clause(self):
        operator = self.pick("==", "!=", "<=", ">=", "<", ">", "~=", "===", "==", ">=")
        version = self.version()
        if operator in ("==", "!="):
            version += self.sometimes(0.3, ".*")
        return operator + self.space() + version

    def specifier(self):
        return self.pick(",", ", ", " ,").join(self.clause() for _ in range(self.random.randrange(0, 4)))

    def name(self):
        if self.random.random() < 0.9:
            return self.pick("a", "A.b", "foo-bar", "Foo__Bar", "x1", "zope.interface", "1x")
        return self.pick("a-", "-a", "_a", "é", "a b", "")

    def variable(self):
        return self.pick(
            "python_version", "python_version", "python_full_version", "os_name", "sys_platform", "platform_machine",
            "platform_system", "platform_release", "platform_version", "platform_python_implementation",
            "implementation_name", "implementation_version", "extra", "extra", "os.name", "sys.platform",
            "platform.machine", "platform.version", "python_implementation", "platform.python_implementation",
        )

    def value(self):
        text = self.pick(
            self.version(), "3.8", "3.13", "3.13.*", "linux", "win32", "posix", "Linux", "x86_64", "aarch64", "CPython",
            "cpython", "socks", "dev-tools", "Dev.Tools", "test", "", "3.8 3.13", "linux darwin",
        ).strip()
        quote = self.pick('"', "'")
        return quote + text + quote

    def comparison(self):
        operator = self.pick("==", "!=", "<", "<=", ">", ">=", "~=", "===", "in", "not in", "not  in", "==", ">=", "<")
        sides = [self.variable(), self.value()]
        self.random.shuffle(sides)
        if self.random.random() < 0.03:
            sides[1] = self.variable()
        return f"{sides[0]}{self.pick(' ', ' ', '') if operator[0] not in 'in' else ' '}{operator} {sides[1]}"

    def marker(self, depth=0):
        text = self.comparison()
        for _ in range(self.pick(0, 0, 1, 2) if depth < 3 else 0):
            next_ = self.comparison() if self.random.random() < 0.7 else f"({self.marker(depth + 1)})"
            text += self.pick(" and ", " or ") + next_
        return f"({text})" if self.random.random() < 0.1 else text

    def requirement(self):
        text = self.name()
        if self.random.random() < 0.3:
            text += self.space() + "[" + ", ".join(self.name() for _ in range(self.random.randrange(0, 3))) + "]"
        if self.random.random() < 0.15:
            text += self.pick(" @ ", "@", " @") + self.pick("https://h/p.whl", "git+https://h/r@1#egg=x", "file:///x", "./y")
            text += self.sometimes(0.5, " ")
        else:
            specifier = self.specifier()
            text += self.space() + (f"({specifier})" if self.random.random() < 0.2 else specifier)
        if self.random.random() < 0.5:
            text += self.pick("; ", ";", " ; ") + self.marker()
        return text

    def spoiled(self, text):
        """The text with a character added, left out or replaced, one time in ten."""
        if self.random.random() > 0.1:
            return text
        at = self.random.randrange(len(text) + 1)
        new = self.pick("", "", *"()[]<>=!~,;.*+-_@'\" \t\n\\aé0")
        return text[:at] + new + text[at + self.pick(0, 1) :]


def questions(vectors, count, seed):
    generator = Generator(seed)
    kinds = ["version", "specifier", "requirement", "marker", "marker", "order", "name"]
    for kind, texts in vectors.items():
        for text in texts:
            yield {"kind": kind, "text": text, "vector": True}
    known = [t for t in vectors.get("version", []) if "\x00" not in t]
    for a in known:
        yield {"kind": "order", "text": a, "other": generator.random.choice(known), "vector": True}
    for number in range(count):
        kind = kinds[number % len(kinds)]
        if kind == "order":
            yield {"kind": kind, "text": generator.version(), "other": generator.version()}
        else:
            yield {"kind": kind, "text": generator.spoiled(getattr(generator, kind)())}


def environment(python, machine):
    return {
        "implementation_name": "cpython", "implementation_version": python, "os_name": "posix",
        "platform_machine": machine, "platform_release": "", "platform_system": "Linux", "platform_version": "",
        "python_full_version": python, "platform_python_implementation": "CPython",
        "python_version": ".".join(python.split(".")[:2]), "sys_platform": "linux",
    }


def evaluated(marker):
    """What the marker gives in each environment, with any of the extras, as installers ask."""
    answers = []
    for python, machine, extras in ENVIRONMENTS:
        try:
            found = [marker.evaluate({**environment(python, machine), "extra": extra}) for extra in extras or [""]]
            answers.append(any(found))
        except (UndefinedComparison, UndefinedEnvironmentName):
            answers.append("undefined")
    return answers


def contained(specifiers):
    return [specifiers.contains(Version(probe), prereleases=True) for probe in PROBES]


def answer(question):
    text = question["text"]
    try:
        match question["kind"]:
            case "version":
                return str(Version(text))
            case "order":
                a, b = Version(text), Version(question["other"])
                return (a > b) - (a < b)
            case "specifier":
                specifiers = SpecifierSet(text)
                return [contained(specifiers), bool(specifiers.prereleases)]
            case "requirement":
                r = Requirement(text)
                return {
                    "name": canonicalize_name(r.name),
                    "extras": sorted({canonicalize_name(extra) for extra in r.extras}),
                    "url": r.url,
                    "contains": contained(r.specifier),
                    "marker": r.marker and evaluated(r.marker),
                }
            case "marker":
                return evaluated(Marker(text))
            case "name":
                return canonicalize_name(text, validate=True)
    except ValueError:
        return "refused"


def ends_in_underscore(expected):
    """The one thing in which we follow the specification and not the parser of `packaging`: `a_` is no name, as
    `packaging` itself says in `canonicalize_name(validate=True)`."""
    return isinstance(expected, dict) and expected["name"].endswith("-")


def judge(questions_file, answers_file):
    with open(questions_file) as questions_, open(answers_file) as answers:
        counts, refused, wrong = {}, {}, []
        for asked, given in zip(questions_, answers, strict=True):
            question, given = json.loads(asked), json.loads(given)
            expected = answer(question)
            key = ("vectors" if question.get("vector") else "generated", question["kind"])
            counts[key] = counts.get(key, 0) + 1
            refused[key] = refused.get(key, 0) + (expected == "refused")
            if expected != given and not ends_in_underscore(expected):
                wrong.append((question, expected, given))
    for (source, kind), count in sorted(counts.items()):
        print(f"{source:>10} {kind:>12} {count:>7}, {refused[source, kind]} of them refused by packaging")
    for question, expected, given in wrong[:50]:
        print(f"DIFFERENT {question}\n  packaging {expected}\n  pyoci     {given}")
    print(f"{sum(counts.values())} strings, {len(wrong)} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    if sys.argv[1] == "questions":
        with open(sys.argv[2]) as file:
            vectors = json.load(file)
        for question in questions(vectors, int(sys.argv[3]), int(sys.argv[4])):
            if question["kind"] in ("specifier", "requirement"):
                question["probes"] = PROBES
            if question["kind"] in ("marker", "requirement"):
                question["environments"] = ENVIRONMENTS
            print(json.dumps(question))
    else:
        sys.exit(judge(sys.argv[2], sys.argv[3]))

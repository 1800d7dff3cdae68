"""What is changed in a C source: one operator, constant, condition, result or statement at a time.

It reads tokens, not C: a change that does not compile is found out by the compiler and not counted.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

TOKEN = re.compile(
    r"""(?P<skip>\s+|/\*.*?\*/|//[^\n]*|(?<![^\n])[ \t]*\#(?:[^\n]*\\\n)*[^\n]*)
    |(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |(?P<number>(?:0[xX][0-9a-fA-F]+|\d+\.\d*(?:[eE][-+]?\d+)?|\.\d+|\d+(?:[eE][-+]?\d+)?)[uUlLfF]*)
    |(?P<word>\w+)
    |(?P<sign><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|.)""",
    re.DOTALL | re.VERBOSE,
)
BINARY = {
    "<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"), "==": ("!=",), "!=": ("==",),
    "&&": ("||",), "||": ("&&",), "+": ("-",), "-": ("+",), "*": ("+",), "/": ("*",), "%": ("/",),
    "&": ("|",), "|": ("&",), "^": ("|",), "<<": (">>",), ">>": ("<<",),
    "+=": ("-=",), "-=": ("+=",), "*=": ("+=",), "/=": ("*=",), "|=": ("&=",), "&=": ("|=",), "^=": ("|=",),
    "<<=": (">>=",), ">>=": ("<<=",),
}  # fmt: skip
WORDS = {"true": "false", "false": "true", "continue": "break", "INT32_MAX": "INT32_MIN"}
TYPES = {"const", "static", "struct", "enum", "union", "unsigned", "int", "char", "bool", "void", "double", "long"}
# They cost or say something, but nothing follows from them.
WITHOUT_EFFECT = {"KVP_ASSERT", "KVP_PREFETCH", "__builtin_prefetch", "_Static_assert", "__asm__", "asm", "sizeof"}
JUMPS = {"return", "break", "continue", "goto"}


@dataclass(frozen=True)
class Token:
    """A token that counts, and where it stands."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """The place behind it."""
        return self.start + len(self.text)


@dataclass(frozen=True)
class Mutation:
    """A stretch of a source, and what takes its place."""

    path: str
    line: int
    start: int
    end: int
    new: str
    kind: str
    name: str

    def apply(self, text: str) -> str:
        """Give the changed source; lines keep their numbers."""
        old = text[self.start : self.end]
        return text[: self.start] + self.new + "\n" * (old.count("\n") - self.new.count("\n")) + text[self.end :]

    def rank(self, seed: int) -> str:
        """Where it comes in a sample, whatever else changes in the source."""
        return hashlib.sha256(f"{seed}:{self.name}".encode()).hexdigest()


def tokens_of(text: str) -> list[Token]:
    """Give the tokens without comments and lines of the preprocessor."""
    return [
        Token(match.lastgroup or "", match[0], match.start())
        for match in TOKEN.finditer(text)
        if match.lastgroup != "skip"
    ]


class Reader:
    """Walks the functions of one source and collects what can be changed."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.tokens = tokens_of(text)
        self.found: list[Mutation] = []
        self.seen: dict[str, int] = {}

    def group_end(self, at: int) -> int:
        """Give the token that closes the bracket that the token at `at` opens."""
        depth = 0
        for i in range(at, len(self.tokens)):
            depth += self.tokens[i].text in ("(", "[", "{")
            depth -= self.tokens[i].text in (")", "]", "}")
            if depth == 0:
                return i
        raise ValueError(f"{self.path}: a bracket stays open")

    def add(self, start: int, end: int, new: str, kind: str) -> None:
        """Note a change of the characters from `start` to `end`."""
        line_start = self.text.rfind("\n", 0, start) + 1
        line_end = self.text.find("\n", start)
        about = f"{self.path}:{self.text[line_start:line_end].strip()}:{start - line_start}:{kind}:{new}"
        self.seen[about] = self.seen.get(about, 0) + 1
        line = self.text.count("\n", 0, start) + 1
        name = f"{about}:{self.seen[about]}"
        self.found.append(Mutation(self.path, line, start, end, new, kind, name))

    def read(self) -> list[Mutation]:
        """Give all changes of all function bodies, in the order of the source."""
        i, tokens = 0, self.tokens
        while i < len(tokens):
            if tokens[i].text == "{":
                end = self.group_end(i)
                if i > 0 and tokens[i - 1].text == ")":
                    self.body(i + 1, end)
                i = end
            i += 1
        return sorted(self.found, key=lambda mutation: (mutation.start, mutation.end, mutation.new))

    def body(self, i: int, end: int) -> None:
        """Walk the statements between two braces."""
        while i < end:
            text = self.tokens[i].text
            if text in ("if", "while", "for", "switch"):
                close = self.group_end(i + 1)
                self.condition(text, i + 2, close)
                self.operators(i + 2, close)
                i = close + 1
            elif text in ("case", "default"):
                while self.tokens[i].text != ":":
                    i += 1
                i += 1
            elif text in ("{", "}", ";", "else", "do"):
                i += 1
            else:
                stop = i
                while self.tokens[stop].text != ";":
                    stop = self.group_end(stop) + 1 if self.tokens[stop].text in ("(", "[", "{") else stop + 1
                self.statement(i, stop)
                i = stop + 1

    def condition(self, keyword: str, i: int, end: int) -> None:
        """Add the opposite of a condition."""
        if keyword == "switch":
            return
        if keyword == "for":
            semicolons = [k for k in range(i, end) if self.tokens[k].text == ";"]
            i, end = semicolons[0] + 1, semicolons[1]
        if i < end:
            start, stop = self.tokens[i].start, self.tokens[end - 1].end
            self.add(start, stop, f"!({self.text[start:stop]})", "opposite")

    def statement(self, i: int, stop: int) -> None:
        """Leave a statement out, or give another result; then change what is in it."""
        if any(token.text in WITHOUT_EFFECT - {"sizeof"} for token in self.tokens[i:stop]):
            return
        start, end = self.tokens[i].start, self.tokens[stop].start
        words = [token.text for token in self.tokens[i : i + 4]]
        is_declaration = words[0] in TYPES or (
            words[0] not in JUMPS
            and self.tokens[i].kind == "word"
            and re.match(r"\w+ \*?\*?(const )?\w", self.text[start:end]) is not None
        )
        if words[0] == "return" and stop > i + 1:
            value_start = self.tokens[i + 1].start
            value = self.text[value_start:end]
            if value not in ("0", "KVP_OK", "NULL", "false"):
                self.add(value_start, end, "0", "result")
            if value not in ("true", "false") and '"' not in value:
                self.add(value_start, end, f"!({value})", "result")
        elif not is_declaration:
            self.add(start, end, "", "deletion")
        self.operators(i, stop, is_declaration)

    def operators(self, i: int, end: int, is_declaration: bool = False) -> None:
        """Change the operators and constants of one expression."""
        tokens, is_before_value = self.tokens, is_declaration
        while i < end:
            token = tokens[i]
            before = tokens[i - 1]
            has_left = before.kind in ("word", "number", "string") or before.text in (")", "]")
            has_left = has_left and before.text not in ("return", "case")
            if token.text in WITHOUT_EFFECT:
                i = self.group_end(i + 1) + 1 if tokens[i + 1].text == "(" else i + 1
                continue
            if token.text == "=":
                is_before_value = False
            if token.kind == "number" and not (is_before_value and before.text == "["):
                self.number(token)
            elif token.text in WORDS and token.text != "continue":
                self.add(token.start, token.end, WORDS[token.text], "constant")
            elif token.text in ("++", "--"):
                self.add(token.start, token.end, "--" if token.text == "++" else "++", "operator")
            elif token.kind == "sign" and token.text in BINARY and has_left and not is_before_value:
                for new in BINARY[token.text]:
                    self.add(token.start, token.end, new, "operator")
            elif token.text in ("!", "~") and not has_left:
                self.add(token.start, token.end, "", "operator")
            i += 1

    def number(self, token: Token) -> None:
        """Make it one more, and one less."""
        match = re.fullmatch(r"(0[xX][0-9a-fA-F]+|[\d.]+(?:[eE][-+]?\d+)?)([uUlLfF]*)", token.text)
        if not match:
            return
        digits, suffix = match[1], match[2]
        if re.fullmatch(r"\d+|0[xX].*", digits):
            value = int(digits, 0) if digits[:2] in ("0x", "0X") else int(digits)
            news = [str(value + 1)] + ([str(value - 1)] if value > 0 else [])
        else:
            news = [repr(float(digits) * 2 + 1), repr(float(digits) / 2)]
        for new in news:
            self.add(token.start, token.end, new + suffix, "constant")


def mutations_of(path: str, text: str) -> list[Mutation]:
    """Give all changes of one source."""
    return Reader(path, text).read()


def inline_functions(text: str) -> dict[str, set[str]]:
    """Give the static functions of a header, and the words that each of them uses."""
    tokens, found, i = tokens_of(text), {}, 0
    reader = Reader("", text)
    while i < len(tokens):
        if tokens[i].text == "{":
            end = reader.group_end(i)
            if i > 0 and tokens[i - 1].text == ")":
                depth, k = 0, i - 1
                while True:
                    depth += (tokens[k].text == ")") - (tokens[k].text == "(")
                    if depth == 0:
                        break
                    k -= 1
                found[tokens[k - 1].text] = {token.text for token in tokens[i:end] if token.kind == "word"}
            i = end
        i += 1
    return found

"""Tokenizers: from texts to the token tables that a CLIP text tower reads.

`WordTokenizer` is for the demonstration CLIP: one token per word, from a vocabulary that is stored
with the weights. `BytePairTokenizer` is that of CLIP (Radford et al. 2021, section 2.4), by
open_clip. `StoredTokenizer` is any other, such as SigLIP's, in the form of the package `tokenizers`.
"""

import re
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from ..errors import FiceError

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")  # letters and digits, with an inner apostrophe


class Tokenizer(Protocol):
    """The interface that `Clip` requires of a tokenizer."""

    context_length: int
    vocab_size: int

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Token table (M, context_length) int64, zero-padded.

        Raises:
            FiceError: a text needs more than `context_length` tokens.
        """
        ...

    def unknown_words(self, text: str) -> list[str]:
        """Words of `text` that the tokenizer skips, in order, each once."""
        ...


def split_words(text: str) -> list[str]:
    """Lower-case words of `text`; hyphens and punctuation separate words.

    >>> split_words("A long-sleeve, blue T-shirt!")
    ['a', 'long', 'sleeve', 'blue', 't', 'shirt']
    """
    return _WORD.findall(text.lower())


class WordTokenizer:
    """Tokenizer with one token per word and a closed vocabulary.

    Ids: 0 is padding, 1..V are the words in the order of `vocabulary`, V + 1 starts a text and V + 2
    ends it. The end has the largest id because CLIP's text tower takes its feature at the position
    of the largest id. Unknown words are skipped; `unknown_words` lists them.

    Args:
        vocabulary: the known words, lower-case, each once, each a single word by `split_words`.
        context_length: width of the token table, including the start and end tokens.

    Raises:
        ValueError: the vocabulary has an entry that is not such a word, or one twice; or
            context_length is below 3.
    """

    def __init__(self, vocabulary: Sequence[str], context_length: int) -> None:
        bad = sorted(word for word in vocabulary if split_words(word) != [word])
        if bad:
            raise ValueError(f"vocabulary entries must be single lower-case words, not {bad}")
        if len(set(vocabulary)) != len(vocabulary):
            raise ValueError("vocabulary has repeated words")
        if context_length < 3:
            raise ValueError(f"context_length must be at least 3, not {context_length}")
        self.vocabulary = list(vocabulary)
        self.context_length = context_length
        self.vocab_size = len(self.vocabulary) + 3
        self._ids = {word: i for i, word in enumerate(self.vocabulary, start=1)}

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Token table (M, context_length) int64; see `Tokenizer`."""
        start, end = self.vocab_size - 2, self.vocab_size - 1
        rows = []
        for text in texts:
            ids = [self._ids[word] for word in split_words(text) if word in self._ids]
            rows.append([start, *ids, end])
        return pad_rows(rows, texts, self.context_length)

    def unknown_words(self, text: str) -> list[str]:
        """Words of `text` outside the vocabulary, in order, each once."""
        return list(dict.fromkeys(word for word in split_words(text) if word not in self._ids))


class BytePairTokenizer:
    """CLIP's byte-pair tokenizer, which knows every word; texts that are too long are an error."""

    def __init__(self, context_length: int = 77) -> None:
        # Imported here: open_clip takes over a second, and the demonstration set never needs this.
        from open_clip.tokenizer import SimpleTokenizer

        self._bpe = SimpleTokenizer(context_length=context_length)
        self.context_length = context_length
        self.vocab_size = self._bpe.vocab_size

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Token table (M, context_length) int64; see `Tokenizer`."""
        start, end = self._bpe.sot_token_id, self._bpe.eot_token_id
        rows = [[start, *self._bpe.encode(text), end] for text in texts]
        return pad_rows(rows, texts, self.context_length)

    def unknown_words(self, text: str) -> list[str]:
        """Always empty: byte pairs spell any word."""
        return []


class StoredTokenizer:
    """A tokenizer of the package `tokenizers`, as `tokenizer.json` of a hub download describes it.

    Args:
        context_length: width of the token table, including the tokens that the tokenizer adds.
        description: text of `tokenizer.json`.
        pad_id: fills the rows.
        clean: open_clip's name of what is done to a text first: "canonicalize" (lower case, no
            punctuation), "lower" or "whitespace".
        left: whether rows are filled on the left.
        zeroed: id of a token that becomes 0, as CLIPA's separator; None for none.

    Raises:
        ValueError: there is no such cleaning, or the description is not one of a tokenizer.
        FiceError: the package `tokenizers` is missing.
    """

    def __init__(
        self,
        context_length: int,
        description: str,
        pad_id: int,
        clean: str = "whitespace",
        left: bool = False,
        zeroed: int | None = None,
    ) -> None:
        from open_clip.tokenizer import get_clean_fn

        try:
            import tokenizers
        except ImportError as error:
            raise FiceError(
                "this CLIP model has a tokenizer of its own: pip install tokenizers"
            ) from error
        if clean not in ("canonicalize", "lower", "whitespace"):
            raise ValueError(f"a tokenizer that cleans texts by {clean!r}")
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(description)
        except Exception as error:  # the package raises no type of its own
            raise ValueError(f"its tokenizer is not readable: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._clean = get_clean_fn(clean)
        self._pad_id, self._left, self._zeroed = pad_id, left, zeroed
        self.context_length = context_length
        self.vocab_size = self._tokenizer.get_vocab_size()

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Token table (M, context_length) int64; see `Tokenizer`."""
        rows = [self._tokenizer.encode(self._clean(text)).ids for text in texts]
        rows = [[0 if token == self._zeroed else token for token in row] for row in rows]
        return pad_rows(rows, texts, self.context_length, self._pad_id, self._left)

    def unknown_words(self, text: str) -> list[str]:
        """Always empty: such tokenizers spell any word."""
        return []


def pad_rows(
    rows: Sequence[Sequence[int]],
    texts: Sequence[str],
    context_length: int,
    pad_id: int = 0,
    left: bool = False,
) -> Tensor:
    """One token table (M, context_length) int64 of token lists, padded on the right or `left`.

    Raises:
        FiceError: a row is longer than `context_length`; the message quotes its text.
    """
    table = torch.full((len(rows), context_length), pad_id, dtype=torch.int64)
    for i, (row, text) in enumerate(zip(rows, texts, strict=True)):
        if len(row) > context_length:
            quote = " ".join(text.split())
            quote = quote if len(quote) <= 40 else quote[:37] + "..."
            raise FiceError(
                f'the text "{quote}" has {len(row)} tokens, but this CLIP model reads at most '
                f"{context_length} (two of them mark the ends); shorten it"
            )
        start = context_length - len(row) if left else 0
        table[i, start : start + len(row)] = torch.tensor(row)
    return table

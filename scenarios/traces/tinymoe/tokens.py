"""Train the subword vocabulary and turn the corpus into token arrays.

Reads documents.jsonl from the work folder and writes there

    vocabulary.model       SentencePiece BPE model, trained on training text only
    train_<kind>.npy       uint16 [token], the training documents of one kind, joined
    held_out.json          list of {split, kind, source, ids}, ids being
                           SEQUENCE + 1 tokens from the middle of one document
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Iterator

import numpy as np
import sentencepiece

VOCABULARY = 4096
SEQUENCE = 256
SAMPLE_BYTES = 1_000_000  # training text per kind that the vocabulary is made from


def read_documents(work: Path) -> list[dict[str, str]]:
    with open(work / "documents.jsonl", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def sample_lines(documents: list[dict[str, str]]) -> Iterator[str]:
    """Lines of training text, about the same number of bytes of every kind."""
    taken: dict[str, int] = {}
    for document in documents:
        kind = document["kind"]
        if document["split"] != "train" or taken.get(kind, 0) >= SAMPLE_BYTES:
            continue
        taken[kind] = taken.get(kind, 0) + len(document["text"].encode())
        yield from (line for line in document["text"].splitlines() if line.strip())


def train_vocabulary(documents: list[dict[str, str]], work: Path) -> None:
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=sample_lines(documents), model_prefix=str(work / "vocabulary"),
        vocab_size=VOCABULARY, model_type="bpe", byte_fallback=True,
        character_coverage=0.9995, normalization_rule_name="identity",
        remove_extra_whitespaces=False, add_dummy_prefix=False,
        allow_whitespace_only_pieces=True, user_defined_symbols=["\n", "\t"],
        max_sentence_length=20_000, num_threads=1, minloglevel=1)


def middle(ids: list[int]) -> list[int]:
    start = (len(ids) - SEQUENCE - 1) // 2
    return ids[start:start + SEQUENCE + 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder with documents.jsonl")
    work = parser.parse_args().work
    documents = read_documents(work)
    train_vocabulary(documents, work)
    encoder = sentencepiece.SentencePieceProcessor(model_file=str(work / "vocabulary.model"))
    joined: dict[str, list[int]] = {}
    held_out = []
    for document in documents:
        ids = encoder.encode(document["text"])
        if document["split"] == "train":
            joined.setdefault(document["kind"], []).extend(ids + [encoder.eos_id()])
        else:
            held_out.append({"split": document["split"], "kind": document["kind"],
                             "source": document["source"], "ids": middle(ids)})
    for kind, ids in joined.items():
        np.save(work / f"train_{kind}.npy", np.array(ids, dtype=np.uint16))
        print(kind, len(ids), "training tokens")
    (work / "held_out.json").write_text(json.dumps(held_out) + "\n")


if __name__ == "__main__":
    main()

"""Where a person stands in the wizard: which question it is, what was answered, what comes next."""

from __future__ import annotations

from appliance.core.setup.questions import Question, complete, path, problem, text_of
from appliance.core.setup.seen import Answers, Seen


class Conversation:
    """`answers` holds all that was ever answered, also off the path: going back loses nothing.

    It begins at the first question that has no answer yet, so a power cut in the middle goes on where it was.
    """

    def __init__(self, answers: Answers, seen: Seen) -> None:
        self.answers = dict(answers)
        self.seen = seen
        self.position = 0
        while self.position < len(self.path) and self._stands(self.path[self.position]):
            self.position += 1

    def _stands(self, question: Question) -> bool:
        text = self.answers.get(question.key)
        return text is not None and not problem(question.key, text, self.answers, self.seen)

    @property
    def path(self) -> list[Question]:
        return path(complete(self.answers, self.seen))

    @property
    def question(self) -> Question | None:
        """The question that is open; None when all is answered."""
        return self.path[self.position] if self.position < len(self.path) else None

    @property
    def offered(self) -> str:
        """What stands in the field when the question opens: the answer of before, or the default."""
        question = self.path[self.position]
        return self.answers.get(question.key) or question.default(complete(self.answers, self.seen), self.seen)

    def choices(self) -> dict[str, str]:
        return self.path[self.position].choices(self.answers, self.seen)

    def wrong(self, text: str) -> str:
        """What is wrong with this answer to the open question, "" when nothing is."""
        return problem(self.path[self.position].key, text, self.answers, self.seen)

    def answer(self, text: str) -> None:
        """Takes an answer that is not wrong."""
        self.answers[self.path[self.position].key] = text

    def forward(self) -> None:
        """To the next question. An answer further on that no longer fits is asked again."""
        self.position += 1

    def back(self) -> bool:
        """To the question before; False at the first."""
        self.position = max(0, min(self.position, len(self.path)) - 1) if self.position else -1
        if self.position < 0:
            self.position = 0
            return False
        return True

    @property
    def whole(self) -> Answers:
        return complete(self.answers, self.seen)

    @property
    def text(self) -> str:
        """The appliance.yaml that follows."""
        return text_of(self.answers, self.seen)

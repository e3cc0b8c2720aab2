"""The two halves of a check, kept apart: facts are collected in one place and judged in another."""

from cleanformer_lite.checks.exercise import Exercise, Observations
from cleanformer_lite.checks.report import Report, Verdict


def observe(exercise: Exercise, answer: object, seed: int) -> Observations:
    """Run an answer on seeded inputs and write down what happens, without any opinion.

    This half runs where the answer lives and may be lied to by it. What an answer raises becomes
    text; only what is meant to stop it (a time limit, an interrupt) passes through.
    """
    return exercise.probe.observe(answer, seed)


def judge(exercise: Exercise, facts: Observations, seed: int) -> Report:
    """Compare facts with what the seed makes of a right answer.

    This half needs nothing of the answer but its facts, and believes none of them: what is missing
    or of the wrong kind is a failed property, never an exception.
    """
    try:
        verdict = exercise.probe.judge(facts, seed)
    except Exception as error:  # facts may be forged in ways that nobody thought of
        verdict = Verdict("failed", exercise.properties[:1], message=f"unreadable facts: {error}")
    return Report(
        exercise=exercise.id,
        status=verdict.status,
        points=exercise.points if verdict.status == "passed" else 0,
        max_points=exercise.points,
        failed=verdict.failed,
        species=verdict.species,
        counterexample=verdict.counterexample,
        message=verdict.message,
    )

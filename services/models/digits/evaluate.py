"""How good the answers on held-out digits are."""

from sklearn.metrics import accuracy_score, f1_score, log_loss

from services.models.protocol import Floats, Labels


def evaluate(probabilities: Floats, labels: Labels) -> dict[str, float]:
    """Accuracy, macro F1 (each digit counts the same) and log loss (bad probabilities cost)."""
    guesses = probabilities.argmax(axis=1)
    exact = probabilities.astype("float64")
    exact /= exact.sum(axis=1, keepdims=True)  # float32 rows add up to one only nearly
    return {
        "accuracy": float(accuracy_score(labels, guesses)),
        "macro_f1": float(f1_score(labels, guesses, average="macro")),
        "log_loss": float(log_loss(labels, exact, labels=range(10))),
    }

"""Writes goldens.txt: training steps of small networks as PyTorch does them, in double precision.

    python3 tests/data/net/make_goldens.py > tests/data/net/goldens.txt

Derivatives come from autograd, steps from torch.optim.SGD (L2 as its weight_decay, on the weights alone) or, for L1, from a
step written with tensors. Per case: a head, the rows, the weights and biases at the start, the mean loss before the first
epoch and after each one, the weights and biases at the end.
"""

import torch

torch.set_default_dtype(torch.float64)
ACTIVATIONS = {
    "tanh": (1, torch.tanh), "relu": (2, torch.relu), "sigmoid": (3, torch.sigmoid), "linear": (4, lambda x: x),
}
CASES = [
    # name, rule, sizes, activations, regularisation, its rate, learning rate, batch, rows, epochs
    ("tanh", 1, [2, 4, 2, 1], ["tanh", "tanh", "tanh"], 0, 0.0, 0.03, 10, 50, 20),
    ("relu_l2", 1, [3, 8, 8, 1], ["relu", "relu", "linear"], 2, 0.01, 0.03, 10, 50, 20),
    ("sigmoid_l1", 1, [3, 5, 4, 1], ["sigmoid", "sigmoid", "tanh"], 1, 0.01, 0.3, 5, 25, 20),
    ("left_over", 1, [2, 3, 1], ["tanh", "tanh"], 1, 0.003, 0.1, 10, 25, 50),  # 25 rows: 5 are left for the next epoch
    ("mixed", 1, [4, 6, 3, 5, 2], ["relu", "linear", "sigmoid", "tanh"], 2, 0.001, 0.1, 1, 10, 10),
    ("logistic", 2, [3, 1], ["sigmoid"], 0, 0.0, 0.5, 10, 50, 20),
    ("logistic_deep", 2, [2, 4, 1], ["tanh", "sigmoid"], 2, 0.01, 0.1, 50, 50, 100),
]


def numbers(tensor):
    return " ".join(repr(x) for x in tensor.reshape(-1).tolist())


def losses(rule, out, target):
    if rule == 2:
        return torch.nn.functional.binary_cross_entropy(out, target.clamp(0, 1), reduction="none").sum(1)
    return (0.5 * (out - target) ** 2).sum(1)


def run(case, seed):
    name, rule, sizes, activations, kind, rate, learning_rate, batch, rows, epochs = case
    g = torch.Generator().manual_seed(seed)
    round6 = lambda t: (t * 1e6).round() / 1e6
    x = round6(torch.rand(rows, sizes[0], generator=g) * 4 - 2)
    if rule == 2 or activations[-1] == "tanh":
        y = torch.where(torch.rand(rows, sizes[-1], generator=g) + 0.2 * x[:, :1] > 0.5, 1.0, -1.0)
    else:
        y = round6(torch.sin(x.sum(1, keepdim=True)))
    weights = [round6(torch.rand(o, i, generator=g) - 0.5).requires_grad_() for i, o in zip(sizes, sizes[1:])]
    biases = [round6(torch.rand(o, generator=g) * 0.2).requires_grad_() for o in sizes[1:]]
    print("case", name, rule, len(sizes) - 1, *sizes)
    print(*[ACTIVATIONS[a][0] for a in activations], kind, rate, learning_rate, batch, rows, epochs)
    print(numbers(torch.cat([x, y], 1)))
    for w, b in zip(weights, biases):
        print(numbers(w), numbers(b))

    def forward(inputs):
        for w, b, a in zip(weights, biases, activations):
            inputs = ACTIVATIONS[a][1](inputs @ w.T + b)
        return inputs

    def mean_loss():
        with torch.no_grad():
            return losses(rule, forward(x), y).mean().reshape(1)

    dead = [torch.zeros_like(w, dtype=torch.bool) for w in weights]
    optimizer = torch.optim.SGD(
        [{"params": weights, "weight_decay": rate if kind == 2 else 0.0}, {"params": biases}], lr=learning_rate)
    found, waiting, steps = [mean_loss()], [], 0
    for _ in range(epochs):
        for i in range(rows):
            waiting.append(i)
            if (i + 1) % batch:
                continue
            optimizer.zero_grad()
            losses(rule, forward(x[waiting]), y[waiting]).mean().backward()
            old = [w.detach().clone() for w in weights]
            optimizer.step()
            if kind == 1:
                with torch.no_grad():
                    for w, o, d in zip(weights, old, dead):
                        learned = torch.where(d, torch.zeros_like(w), w)
                        after = learned - learning_rate * rate * torch.sign(o)
                        d |= learned * after < 0
                        w.copy_(torch.where(d, torch.zeros_like(w), after))
            waiting, steps = [], steps + 1
        found.append(mean_loss())
    assert steps == 100, (name, steps)
    print(numbers(torch.cat(found)))
    for w, b in zip(weights, biases):
        print(numbers(w), numbers(b))
    print(sum(int(d.sum()) for d in dead))


for number, case in enumerate(CASES):
    run(case, number)

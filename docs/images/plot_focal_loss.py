#!/usr/bin/env python3
"""Draws focal_loss.svg: loss and gradient of a negative element over its logit, for several gamma.

Plain Python, no packages: docs/images/plot_focal_loss.py > docs/images/focal_loss.svg
"""

import math

WIDTH, HEIGHT, GAP, MARGIN = 380, 300, 70, 48
GAMMAS = [(0.0, "#555555"), (0.5, "#1b7837"), (1.0, "#2166ac"), (2.0, "#b2182b"), (5.0, "#762a83")]
LOGITS = [-6.0 + 0.1 * i for i in range(121)]


def loss(z, gamma):
    q = 1 / (1 + math.exp(-z))
    softplus = max(z, 0) + math.log1p(math.exp(-abs(z)))
    return q**gamma * softplus


def gradient(z, gamma):
    q = 1 / (1 + math.exp(-z))
    softplus = max(z, 0) + math.log1p(math.exp(-abs(z)))
    return q**gamma * (gamma * (1 - q) * softplus + q)


def panel(left, title, function, top):
    def x(z):
        return left + WIDTH * (z + 6) / 12

    def y(value):
        return MARGIN + HEIGHT * (1 - value / top)

    lines = [f'<text x="{left + WIDTH / 2}" y="{MARGIN - 18}" text-anchor="middle" '
             f'font-size="15">{title}</text>']
    for tick in range(-6, 7, 2):
        lines.append(f'<path d="M{x(tick):.1f} {MARGIN}V{MARGIN + HEIGHT}" stroke="#dddddd"/>'
                     f'<text x="{x(tick):.1f}" y="{MARGIN + HEIGHT + 18}" '
                     f'text-anchor="middle">{str(tick).replace("-", "−")}</text>')
    steps = 6 if top == 6 else 8
    for i in range(steps + 1):
        value = top * i / steps
        lines.append(f'<path d="M{left} {y(value):.1f}H{left + WIDTH}" stroke="#dddddd"/>'
                     f'<text x="{left - 6}" y="{y(value) + 4:.1f}" text-anchor="end">'
                     f'{value:g}</text>')
    for gamma, colour in GAMMAS:
        points = " ".join(f"{x(z):.1f},{y(function(z, gamma)):.1f}" for z in LOGITS)
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" '
                     f'stroke-width="2"/>')
    lines.append(f'<text x="{left + WIDTH / 2}" y="{MARGIN + HEIGHT + 36}" '
                 f'text-anchor="middle">logit on the wrong side, z</text>')
    return lines


def main():
    total = 2 * WIDTH + GAP + MARGIN + 110
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} '
             f'{HEIGHT + MARGIN + 50}" font-family="sans-serif" font-size="12">',
             '<rect width="100%" height="100%" fill="#ffffff"/>']
    lines += panel(MARGIN, "loss", loss, 6)
    lines += panel(MARGIN + WIDTH + GAP, "derivative of the loss", gradient, 1.6)
    legend = MARGIN + 2 * WIDTH + GAP + 16
    for i, (gamma, colour) in enumerate(GAMMAS):
        y = MARGIN + 12 + 22 * i
        lines.append(f'<path d="M{legend} {y}h24" stroke="{colour}" stroke-width="2"/>'
                     f'<text x="{legend + 30}" y="{y + 4}">γ = {gamma:g}</text>')
    lines.append("</svg>")
    print("\n".join(lines))


if __name__ == "__main__":
    main()

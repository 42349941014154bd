#!/usr/bin/env python3
"""Draws nms_methods.svg: what each method of NMS keeps of a face detector's boxes of a crowd.

Boxes and scores are those of bench/data/yunet (see bench/data/PROVENANCE.md). Plain Python, no
packages: docs/images/plot_nms_methods.py > docs/images/nms_methods.svg
"""

import ast
import math
import pathlib
import struct

DATA = pathlib.Path(__file__).resolve().parents[2] / "bench" / "data" / "yunet"
IOU_THRESHOLD, SIGMA, SCORE, SHOWN = 0.45, 0.5, 0.1, 0.3
PANEL, GAP, MARGIN = 300, 16, 26


def load(name):
    """The numbers of a float32 array in a .npy file, and its shape."""
    data = (DATA / name).read_bytes()
    length = struct.unpack("<H", data[8:10])[0]
    header = ast.literal_eval(data[10:10 + length].decode())
    assert header["descr"] == "<f4" and not header["fortran_order"]
    body = data[10 + length:]
    return struct.unpack(f"<{len(body) // 4}f", body), header["shape"]


def iou(a, b):
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    common = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / union if union > 0 else 0.0


def greedy(boxes):
    kept = []
    for box, score in boxes:
        if all(iou(box, other) <= IOU_THRESHOLD for other, _ in kept):
            kept.append((box, score))
    return kept


def weighted(boxes):
    groups = []
    for box, score in boxes:
        group = next((g for g in groups if iou(g[0][0], box) > IOU_THRESHOLD), None)
        if group is None:
            groups.append([(box, score)])
        else:
            group.append((box, score))
    means = []
    for group in groups:
        total = sum(score for _, score in group)
        mean = [sum(score * box[i] for box, score in group) / total for i in range(4)]
        means.append((mean, group[0][1]))
    return means


def soft(boxes, decay):
    remaining, kept = list(boxes), []
    while remaining:
        best = max(range(len(remaining)), key=lambda i: (remaining[i][1], -i))
        box, score = remaining.pop(best)
        if score < SHOWN:
            break
        kept.append((box, score))
        remaining = [(other, s * decay(iou(box, other))) for other, s in remaining]
    return kept


def linear(value):
    return 1 - value if value > IOU_THRESHOLD else 1.0


def gaussian(value):
    return math.exp(-value * value / SIGMA)


def matrix(boxes):
    largest, kept = [], []
    for j, (box, score) in enumerate(boxes):
        values = [iou(boxes[i][0], box) for i in range(j)]
        largest.append(max(values, default=0.0))
        decay = min((gaussian(v) / gaussian(largest[i]) for i, v in enumerate(values)), default=1.0)
        kept.append((box, score * min(decay, 1.0)))
    return sorted(kept, key=lambda entry: -entry[1])


def crop_of(boxes, side):
    """The square of that side with the most boxes."""
    centres = [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b, _ in boxes]
    corners = [(x - side / 2, y - side / 2) for x, y in centres]
    return max(corners, key=lambda c: sum(c[0] < x < c[0] + side and c[1] < y < c[1] + side
                                          for x, y in centres))


def panel(left, top, title, boxes, crop, side):
    scale = PANEL / side
    lines = [f'<text x="{left + PANEL / 2}" y="{top - 8}" text-anchor="middle" font-size="14">'
             f'{title}</text>',
             f'<svg x="{left}" y="{top}" width="{PANEL}" height="{PANEL}">'
             '<rect width="100%" height="100%" fill="#f7f7f7" stroke="#999999"/>']
    shown = 0
    for box, score in boxes:
        if score < SHOWN:
            continue
        x, y = (box[0] - crop[0]) * scale, (box[1] - crop[1]) * scale
        width, height = (box[2] - box[0]) * scale, (box[3] - box[1]) * scale
        if x > PANEL or y > PANEL or x + width < 0 or y + height < 0:
            continue
        shown += 1
        lines.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
                     f'fill="none" stroke="#b2182b" stroke-opacity="{score:.2f}"/>')
    lines.append('</svg>')
    lines.append(f'<text x="{left + PANEL - 6}" y="{top + PANEL - 8}" text-anchor="end">'
                 f'{shown} boxes</text>')
    return lines


def main():
    numbers, shape = load("boxes.npy")
    scores, _ = load("scores.npy")
    boxes = [(numbers[4 * i:4 * i + 4], scores[i]) for i in range(shape[0]) if scores[i] > SCORE]
    boxes.sort(key=lambda entry: -entry[1])
    side = 220
    crop = crop_of([entry for entry in boxes if entry[1] >= SHOWN], side)
    panels = [("what takes part", boxes), ("greedy", greedy(boxes)),
              ("weighted", weighted(boxes)), ("soft_linear", soft(boxes, linear)),
              ("soft_gaussian", soft(boxes, gaussian)), ("matrix_gaussian", matrix(boxes))]
    width = 3 * PANEL + 4 * GAP
    height = 2 * (PANEL + MARGIN) + GAP
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
             'font-family="sans-serif" font-size="12">',
             '<rect width="100%" height="100%" fill="#ffffff"/>']
    for i, (title, kept) in enumerate(panels):
        lines += panel(GAP + (i % 3) * (PANEL + GAP), MARGIN + (i // 3) * (PANEL + MARGIN), title,
                       kept, crop, side)
    lines.append("</svg>")
    print("\n".join(lines))


if __name__ == "__main__":
    main()

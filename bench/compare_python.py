#!/usr/bin/env python3
"""Times the CPU mode of cudet beside what is usually taken instead on a CPU: torchvision, PyTorch
and OpenCV. Both sides get the same inputs in one run, take turns, and their results are compared
first. scripts/compare_python builds what is needed and calls this.

Calls are timed as a user makes them: each allocates its result, and ours goes through ctypes.
"""

import argparse
import ctypes
import statistics
import sys
import time

import numpy
import torch
import torchvision

try:
    import cv2
except ImportError:
    cv2 = None

FLOATS = ctypes.POINTER(ctypes.c_float)
INTS = ctypes.POINTER(ctypes.c_int32)


def floats(array):
    return array.ctypes.data_as(FLOATS)


def ints(array):
    return array.ctypes.data_as(INTS)


def address(tensor):
    return None if tensor is None else ctypes.c_void_p(tensor.data_ptr())


class Cudet:
    """The calls of python/shim.cpp."""

    def __init__(self, path, threads):
        self.library = ctypes.CDLL(path)
        self.threads = ctypes.c_int(threads)

    def call(self, name, *arguments):
        function = getattr(self.library, "cudet_shim_" + name)
        function.restype = ctypes.c_char_p
        message = function(*arguments)
        if message is not None:
            raise RuntimeError(message.decode())

    def nms(self, boxes, scores, score_threshold, iou_threshold, limit):
        n, classes = scores.shape
        count = numpy.empty(1, numpy.int32)
        indices = numpy.empty(limit, numpy.int32)
        labels = numpy.empty(limit, numpy.int32)
        self.call("nms", floats(boxes), floats(scores), ctypes.c_int64(n),
                  ctypes.c_int64(classes), ctypes.c_float(score_threshold),
                  ctypes.c_float(iou_threshold), ctypes.c_int64(limit), self.threads, ints(count),
                  ints(indices), ints(labels))
        return indices[:count[0]], labels[:count[0]]

    def iou_matrix(self, boxes1, boxes2):
        n, m = len(boxes1), len(boxes2)
        values = torch.empty((n, m)).numpy()
        self.call("iou_matrix", floats(boxes1), floats(boxes2), ctypes.c_int64(n),
                  ctypes.c_int64(m), self.threads, floats(values))
        return values

    def focal_loss(self, logits, targets):
        loss = numpy.empty(1, numpy.float32)
        gradient = torch.empty(logits.shape).numpy()
        rows, classes = logits.shape
        self.call("focal_loss", floats(logits), ints(targets), ctypes.c_int64(rows),
                  ctypes.c_int64(classes), self.threads, floats(loss), floats(gradient))
        return loss[0], gradient

    def depthwise_conv(self, x, weight, bias, stride, channels_last, grad_y=None):
        """Of tensors as PyTorch has them, but for weights whose taps come first with
        `channels_last`: y, and with `grad_y` also the gradients of x, weight and bias."""
        n, c, h, w = x.shape
        k = weight.shape[1]
        oh, ow = (h - 1) // stride + 1, (w - 1) // stride + 1
        order = torch.channels_last if channels_last else torch.contiguous_format
        results = [torch.empty((n, c, oh, ow), memory_format=order)]
        if grad_y is not None:
            results += [torch.empty_like(tensor) for tensor in (x, weight, bias)]
        tensors = (x, weight, bias, grad_y)
        self.call("depthwise_conv", *map(address, tensors), *map(ctypes.c_int64, (n, c, h, w, k)),
                  ctypes.c_int64(stride), ctypes.c_int(channels_last), self.threads,
                  *map(address, results), *[None] * (4 - len(results)))
        return results


def clustered_boxes(random, count, objects):
    """Nine boxes of ten lie round an object, scattered by a tenth of its size; scores fall with the
    distance. Also the number of the object, -1 for the tenth."""
    size = random.uniform(8, 128, (objects, 2))
    corner = random.uniform(0, 896, (objects, 2))
    number = random.integers(0, objects, count)
    shift = 0.1 * random.standard_normal((count, 4))
    box = numpy.concatenate([corner, corner + size], 1)[number]
    box = box + shift * numpy.tile(size[number], 2)
    score = random.uniform(0.5, 1.0, count) / (1 + 4 * numpy.abs(shift).sum(1))
    background = random.random(count) < 0.1
    far = random.uniform(0, 896, (count, 2))
    elsewhere = numpy.concatenate([far, far + random.uniform(8, 128, (count, 2))], 1)
    box[background] = elsewhere[background]
    score[background] = random.uniform(0, 0.1, background.sum())
    number[background] = -1
    return box.astype(numpy.float32), score.astype(numpy.float32), number


# Threads of OpenMP go on looking for work for some milliseconds before they sleep, on the
# processors that the other side needs; so a turn begins with a pause.
PAUSE_SECONDS = 0.02
TURN_SECONDS = 0.05


def take_turn(call, clock, times):
    """Adds the time of each of several calls in a row, after one that wakes threads."""
    time.sleep(PAUSE_SECONDS)
    call()
    turn_begin = time.perf_counter()
    while True:
        begin = clock()
        call()
        times.append(clock() - begin)
        if time.perf_counter() - turn_begin >= TURN_SECONDS:
            return


class Comparison:
    """Prints one row a pair of calls and remembers the ratios."""

    def __init__(self, least_seconds, clock):
        self.least_seconds = least_seconds
        self.clock = clock
        print("medians, and the shortest times, which other programs disturb least")
        print(f"{'workload':<42} {'with':<12} {'theirs':>11} {'cudet':>11} {'ratio':>8} "
              f"{'shortest':>11} {'cudet':>11} {'ratio':>8}  result")

    def row(self, workload, other, theirs, ours, result):
        """Takes turns until both have had their time."""
        their_times, our_times = [], []
        theirs(), ours()
        begin = time.perf_counter()
        while (min(len(their_times), len(our_times)) < 5 or
               time.perf_counter() - begin < self.least_seconds):
            take_turn(theirs, self.clock, their_times)
            take_turn(ours, self.clock, our_times)
        their_time, our_time = statistics.median(their_times), statistics.median(our_times)
        their_least, our_least = min(their_times), min(our_times)
        print(f"{workload:<42} {other:<12} {1e3 * their_time:8.3f} ms {1e3 * our_time:8.3f} ms "
              f"{their_time / our_time:7.1f}x {1e3 * their_least:8.3f} ms {1e3 * our_least:8.3f} ms "
              f"{their_least / our_least:7.2f}x  {result}", flush=True)


def same(equal):
    return "equal" if equal else "DIFFERENT"


def within(ours, theirs):
    return f"within {numpy.max(numpy.abs(ours - theirs)):.1e}"


def agreement(ours, theirs):
    """OpenCV computes in another precision and may decide a tie the other way."""
    common = len(set(ours) & set(theirs))
    return f"{common} of {len(set(ours) | set(theirs))} alike"


def compare_nms(table, cudet, random):
    """One class, all boxes take part."""
    boxes, scores, _ = clustered_boxes(random, 8192, 160)
    n = len(boxes)
    ours = lambda: cudet.nms(boxes, scores[:, None], -1.0, 0.5, n)
    tensors = torch.from_numpy(boxes), torch.from_numpy(scores)
    theirs = lambda: torchvision.ops.nms(*tensors, 0.5)
    name = "nms, 8192 boxes, clustered"
    kept = ours()[0]
    table.row(name, "torchvision", theirs, ours, same(numpy.array_equal(kept, theirs().numpy())))
    if cv2 is not None:
        sized = numpy.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1).astype(float)
        theirs = lambda: cv2.dnn.NMSBoxes(sized, scores, 0.0, 0.5)
        table.row(name, "OpenCV", theirs, ours, agreement(kept.tolist(), theirs().tolist()))


def compare_dense_nms(table, cudet, random):
    """A head's 8400 x 80 scores: those above 0.05 take part, the best 300 stay."""
    classes, threshold, limit = 80, 0.05, 300
    boxes, best, number = clustered_boxes(random, 8400, 60)
    scores = random.exponential(0.008, (len(boxes), classes)).astype(numpy.float32)
    label = numpy.where(number < 0, random.integers(0, classes, len(boxes)), number * 7 % classes)
    scores[numpy.arange(len(boxes)), label] = best
    name = f"nms, 8400 x 80 scores, {(scores > threshold).sum()} take part"
    ours = lambda: cudet.nms(boxes, scores, threshold, 0.7, limit)
    all_boxes, all_scores = torch.from_numpy(boxes), torch.from_numpy(scores)

    def theirs():
        box, which = (all_scores > threshold).nonzero(as_tuple=True)
        kept = torchvision.ops.batched_nms(all_boxes[box], all_scores[box, which], which, 0.7)
        return box[kept[:limit]], which[kept[:limit]]

    kept = numpy.stack(ours())
    table.row(name, "torchvision", theirs, ours,
              same(numpy.array_equal(kept, torch.stack(theirs()).numpy())))
    if cv2 is not None:
        sized = numpy.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1).astype(float)

        def shifted():
            """As OpenCV's own batched form does it: classes are moved apart."""
            box, which = numpy.nonzero(scores > threshold)
            rects = sized[box]
            rects[:, :2] += 1025.0 * which[:, None]
            kept = cv2.dnn.NMSBoxes(rects, scores[box, which], threshold, 0.7)[:limit]
            return box[kept] * classes + which[kept]

        table.row(name, "OpenCV", shifted, ours,
                  agreement((kept[0] * classes + kept[1]).tolist(), shifted().tolist()))


def compare_iou(table, cudet, random):
    boxes1, boxes2 = (clustered_boxes(random, 4096, 100)[0] for _ in range(2))
    ours = lambda: cudet.iou_matrix(boxes1, boxes2)
    theirs = lambda: torchvision.ops.box_iou(torch.from_numpy(boxes1), torch.from_numpy(boxes2))
    table.row("iou matrix, 4096 x 4096", "torchvision", theirs, ours,
              within(ours(), theirs().numpy()))


def compare_focal_loss(table, cudet, random):
    rows, classes = 8 * 8400, 80
    logits = (-4.6 + 1.5 * random.standard_normal((rows, classes))).astype(numpy.float32)
    labels = numpy.where(random.random(rows) < 1e-3, random.integers(0, classes, rows), -1)
    labels = labels.astype(numpy.int32)
    targets = torch.zeros((rows, classes))
    targets[torch.from_numpy(labels) >= 0, torch.from_numpy(labels[labels >= 0]).long()] = 1.0
    variable = torch.from_numpy(logits).requires_grad_()

    def theirs():
        variable.grad = None
        torchvision.ops.sigmoid_focal_loss(variable, targets, reduction="sum").backward()
        return variable.grad

    ours = lambda: cudet.focal_loss(logits, labels)
    table.row("focal loss and gradient, 8 x 8400 x 80", "torchvision", theirs, ours,
              within(ours()[1], theirs().numpy()))


def keep_freed_memory():
    """Has malloc() keep what is freed. Images here are about as large as what it gives back to the
    kernel; whether it does, and each call then waits for new pages, changes from run to run."""
    trim_threshold, mmap_threshold = -1, -3
    libc = ctypes.CDLL(None)
    libc.mallopt(mmap_threshold, 1 << 25)
    libc.mallopt(trim_threshold, (1 << 31) - 1)


def compare_depthwise_conv(table, cudet, random):
    """Planes of three levels of a detector, each kernel size, stride 2, and channels last."""
    keep_freed_memory()
    for n, c, h in ((8, 96, 80), (8, 192, 40), (8, 384, 20)):
        for k in (3, 5, 7):
            for stride, channels_last in ((1, False), (2, False), (1, True)):
                compare_depthwise_case(table, cudet, random, (n, c, h, h), k, stride, channels_last)


def compare_depthwise_case(table, cudet, random, shape, k, stride, channels_last):
    """Forward alone, and with the gradients of x, weight and bias."""
    channels = shape[1]
    layout = torch.channels_last if channels_last else torch.contiguous_format

    def numbers(*sizes):
        values = torch.from_numpy(random.standard_normal(sizes).astype(numpy.float32))
        return values.contiguous(memory_format=layout) if len(sizes) == 4 else values

    x = numbers(*shape)
    weight = numbers(channels, 1, k, k)
    bias = numbers(channels)
    variables = [tensor.detach().requires_grad_() for tensor in (x, weight, bias)]
    forward = lambda *inputs: torch.nn.functional.conv2d(*inputs, stride, k // 2, 1, channels)
    grad_y = numbers(*forward(x, weight, bias).shape)
    order = (1, 2, 0) if channels_last else (0, 1, 2)
    taps = weight[:, 0].permute(order).contiguous()
    ours = lambda: cudet.depthwise_conv(x, taps, bias, stride, channels_last)
    ours_all = lambda: cudet.depthwise_conv(x, taps, bias, stride, channels_last, grad_y)

    def theirs():
        with torch.no_grad():
            return forward(x, weight, bias)

    def theirs_all():
        y = forward(*variables)
        return (y, *torch.autograd.grad(y, variables, grad_y))

    name = (f"{' x '.join(map(str, shape))} k{k}" + (f" s{stride}" if stride > 1 else "") +
            (" last" if channels_last else ""))
    got, expected = ours_all(), theirs_all()
    table.row(f"depthwise {name}", "PyTorch", theirs, ours,
              within(got[0].numpy(), expected[0].detach().numpy()))
    table.row(f"gradients {name}", "PyTorch", theirs_all, ours_all,
              within(got[1].numpy(), expected[1].numpy()))


PARTS = {
    "nms": compare_nms,
    "dense_nms": compare_dense_nms,
    "iou": compare_iou,
    "focal_loss": compare_focal_loss,
    "depthwise_conv": compare_depthwise_conv,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("library", help="libcudet_python_shim.so")
    parser.add_argument("--threads", type=int, default=2, help="of each side (default: 2)")
    parser.add_argument("--min-time", type=float, default=2.0, metavar="SECONDS",
                        help="for each row at least (default: 2)")
    parser.add_argument("--processor-time", action="store_true",
                        help="of all threads together instead of real time: with one thread, on a "
                             "machine that does other work too")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part alone")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    opencv = "not installed"
    if cv2 is not None:
        cv2.setNumThreads(options.threads)
        opencv = cv2.__version__
    print(f"{options.threads} threads; PyTorch {torch.__version__}, torchvision "
          f"{torchvision.__version__}, OpenCV {opencv}")
    table = Comparison(options.min_time,
                       time.process_time if options.processor_time else time.perf_counter)
    cudet = Cudet(options.library, options.threads)
    for name, compare in PARTS.items():
        if options.only is None or name in options.only:
            compare(table, cudet, numpy.random.default_rng(20240607))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The prediction for an AGX Orin against published latencies: each network predicted from the others.

    python tests/benchmarks/orin_prediction.py

Two numbers are fitted, the time of a launch and the cost of traffic; see edgecam/roofline/predict.py.
"""

from table import show

from edgecam.roofline.peaks import ORIN
from edgecam.roofline.predict import predict
from edgecam.roofline.published import fit, left_out, published


def main() -> None:
    points = published()
    launch, traffic = fit(points)
    rows, worst = [], 0.0
    for point, told in left_out(points):
        error = told / point.milliseconds - 1
        worst = max(worst, abs(error))
        within = predict(point.cost, point.precision, ORIN[0]).seconds * 1e3
        rows.append(
            (
                point.network,
                point.side,
                point.precision,
                point.cost.kernels,
                f"{point.milliseconds:.2f}",
                f"{told:.2f}",
                f"{error * 100:+.0f} %",
                f"{within:.2f}",
            )
        )
    show(
        "AGX Orin, MAXN, batch 1",
        ("network", "side", "precision", "kernels", "published ms", "left out", "error", "fitted to all"),
        rows,
        {
            "benchmark": "orin_prediction",
            "launch_us": round(launch * 1e6, 3),
            "traffic": round(traffic, 3),
            "worst_left_out": round(worst, 3),
        },
    )


if __name__ == "__main__":
    main()

//! The timeline as a picture (SVG): pods, requests per second and latency, one panel below the other over the same seconds.

use anyhow::Result;
use plotters::coord::Shift;
use plotters::prelude::*;

use super::Sample;

const SIZE: (u32, u32) = (860, 590);
const READY: RGBColor = RGBColor(0x0b, 0x57, 0xd0);
const WANTED: RGBColor = RGBColor(0xb0, 0x78, 0x00);
const RATE: RGBColor = RGBColor(0x1a, 0x7f, 0x37);
const LATENCY: RGBColor = RGBColor(0xb3, 0x26, 0x1e);

/// Seconds, and the value at that time.
type Points = Vec<(f64, f64)>;

struct Line {
    name: &'static str,
    colour: RGBColor,
    points: Points,
}

pub(super) fn draw(samples: &[Sample]) -> Result<String> {
    // After the last sample under load there is no rate and no latency to draw.
    let loaded: Vec<&Sample> = samples.iter().filter(|sample| sample.clients > 0).collect();
    let all: Vec<&Sample> = samples.iter().collect();
    #[allow(clippy::cast_precision_loss, reason = "a number of pods")]
    let pods = [
        line(
            "wanted",
            WANTED,
            steps(&points(&all, |sample| f64::from(sample.wanted))),
        ),
        line("ready", READY, steps(&points(&all, |sample| sample.ready as f64))),
    ];
    let rate = [line("", RATE, points(&loaded, |sample| sample.rate))];
    let latency = [line(
        "",
        LATENCY,
        points(&loaded, |sample| sample.p99.as_secs_f64() * 1000.0),
    )];
    let seconds = |sample: Option<&Sample>| sample.map_or(1.0, |sample| sample.at.as_secs_f64().max(1.0));
    let end = seconds(samples.last());
    let load_end = Some(seconds(loaded.last().copied())).filter(|at| *at < end);

    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let panels = [
            ("Pods of the API server", pods.as_slice()),
            ("Requests per second", &rate),
            ("99th percentile of the latency, ms", &latency),
        ];
        for (area, (title, lines)) in root.split_evenly((panels.len(), 1)).iter().zip(panels) {
            panel(area, title, lines, end, load_end)?;
        }
        root.present()?;
    }
    Ok(svg)
}

/// `load_end`: when the load ended, if that is before the end of the timeline.
fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    lines: &[Line],
    end: f64,
    load_end: Option<f64>,
) -> Result<()> {
    let values = lines.iter().flat_map(|line| &line.points);
    let top = values.map(|point| point.1).fold(1.0, f64::max) * 1.1;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 14))
        .margin(8)
        .x_label_area_size(22)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..end, 0.0..top)?;
    let seconds = |at: &f64| format!("{at:.0} s");
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh()
        .y_labels(5)
        .x_label_formatter(&seconds)
        .draw()?;
    for line in lines {
        let colour = line.colour;
        let series = LineSeries::new(line.points.iter().copied(), colour.stroke_width(2));
        let drawn = chart.draw_series(series)?;
        if !line.name.is_empty() {
            let key = move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2));
            drawn.label(line.name).legend(key);
        }
    }
    if let Some(at) = load_end {
        let mark = LineSeries::new([(at, 0.0), (at, top)], BLACK.mix(0.4));
        chart.draw_series(mark)?.label("load ends");
    }
    if lines.iter().any(|line| !line.name.is_empty()) {
        let mut labels = chart.configure_series_labels();
        labels.background_style(WHITE.mix(0.8)).draw()?;
    }
    Ok(())
}

fn line(name: &'static str, colour: RGBColor, points: Points) -> Line {
    Line { name, colour, points }
}

fn points(samples: &[&Sample], value: fn(&Sample) -> f64) -> Points {
    let point = |sample: &&Sample| (sample.at.as_secs_f64(), value(sample));
    samples.iter().map(point).collect()
}

/// A count keeps its value until the next sample.
fn steps(points: &Points) -> Points {
    let mut steps: Points = points.iter().take(1).copied().collect();
    for pair in points.windows(2) {
        steps.push((pair[1].0, pair[0].1));
        steps.push(pair[1]);
    }
    steps
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rate_is_drawn_only_under_load() {
        let sample = |at, clients| Sample {
            at: Duration::from_secs(at),
            clients,
            wanted: 1,
            ready: 1,
            rate: 100.0,
            p99: Duration::from_millis(10),
        };
        let svg = draw(&[sample(5, 8), sample(10, 8), sample(15, 0)]).unwrap();
        let points_of = |colour: &str| {
            let line = |line: &&str| line.starts_with("<polyline") && line.contains(colour);
            let line = svg.lines().find(line).unwrap();
            let (_, points) = line.split_once("points=\"").unwrap();
            points.split_once('"').unwrap().0.split_whitespace().count()
        };
        assert_eq!((points_of("#0B57D0"), points_of("#1A7F37")), (5, 2));
    }
}

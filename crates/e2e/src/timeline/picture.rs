//! The timeline as a picture (SVG): pods, requests a second and waits, one above the other over the same seconds.

use std::fmt::Write;

use super::Sample;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 34.0;
/// Height of a panel, and from the top of one to the top of the next.
const PANEL: f64 = 130.0;
const STEP: f64 = 184.0;
const HEIGHT: f64 = TOP + 3.0 * STEP;
/// A grid has at least this many lines, and less than about twice as many.
const LINES: f64 = 3.0;

/// Seconds, and what was seen then.
type Points = Vec<(f64, f64)>;

struct Line {
    name: &'static str,
    colour: &'static str,
    dashed: bool,
    points: Points,
}

struct Panel {
    title: &'static str,
    /// Counts change at once; what is measured over a while goes from one to the next.
    steps: bool,
    lines: Vec<Line>,
}

pub(super) fn draw(samples: &[Sample]) -> String {
    let end = samples
        .last()
        .map_or(1.0, |sample| sample.at.as_secs_f64().max(1.0));
    // The load ends with its last sample: from there on there is nothing to draw of it.
    let loaded = |sample: &&Sample| sample.clients > 0;
    let points = |samples: Vec<&Sample>, value: fn(&Sample) -> f64| -> Points {
        let point = |sample: &Sample| (sample.at.as_secs_f64(), value(sample));
        samples.into_iter().map(point).collect()
    };
    let all = || samples.iter().collect();
    let under_load = || samples.iter().filter(loaded).collect();
    let line = |name, colour, dashed, points| Line {
        name,
        colour,
        dashed,
        points,
    };
    #[allow(clippy::cast_precision_loss, reason = "a number of pods")]
    let pods = vec![
        line(
            "wanted",
            "#9a6700",
            true,
            points(all(), |sample| f64::from(sample.wanted)),
        ),
        line(
            "ready",
            "#0b57d0",
            false,
            points(all(), |sample| sample.ready as f64),
        ),
    ];
    let rate = points(under_load(), |sample| sample.rate);
    let p99 = points(under_load(), |sample| sample.p99.as_secs_f64() * 1000.0);
    let single = |title, colour, points| Panel {
        title,
        steps: false,
        lines: vec![line("", colour, false, points)],
    };
    let panels = [
        Panel {
            title: "Pods of the API server",
            steps: true,
            lines: pods,
        },
        single("Requests a second", "#1a7f37", rate),
        single("99 of 100 answered within, ms", "#b3261e", p99),
    ];
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#333\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let stopped = under_load().last().map(|sample| sample.at.as_secs_f64());
    let mut top = TOP;
    for panel in &panels {
        panel.draw(&mut svg, top, end, stopped);
        top += STEP;
    }
    svg + "</svg>\n"
}

impl Panel {
    /// Adds itself; `stopped`: when the load ended. Writing to a string never fails.
    fn draw(&self, svg: &mut String, top: f64, end: f64, stopped: Option<f64>) {
        let values = self.lines.iter().flat_map(|line| &line.points);
        let most = values.map(|point| point.1).fold(1.0, f64::max);
        let (every, lines) = grid(most);
        let highest = every * lines;
        let x = |seconds: f64| LEFT + seconds / end * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| top + PANEL - value / highest * PANEL;
        let _ = writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"bold\">{}</text>",
            top - 12.0,
            self.title
        );
        let mut value = 0.0;
        while value <= highest {
            let (at, label) = (y(value), y(value) + 4.0);
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {at:.1}H{:.1}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{label:.1}\" text-anchor=\"end\">{value}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0
            );
            value += every;
        }
        let (every, _) = grid(end / 3.0);
        let mut seconds = 0.0;
        while seconds <= end {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{seconds} s</text>",
                x(seconds),
                top + PANEL + 18.0
            );
            seconds += every;
        }
        if let Some(stopped) = stopped.filter(|stopped| *stopped < end) {
            let at = x(stopped);
            let _ = writeln!(
                svg,
                "<path d=\"M{at:.1} {top}V{}\" stroke=\"#777\" stroke-dasharray=\"2 3\"/><text x=\"{:.1}\" y=\"{}\">load ends</text>",
                top + PANEL,
                at + 4.0,
                top + 12.0
            );
        }
        let mut right = WIDTH - RIGHT;
        for line in &self.lines {
            let mut path = String::new();
            for (index, (seconds, value)) in line.points.iter().enumerate() {
                let (x, y) = (x(*seconds), y(*value));
                let _ = match index {
                    0 => write!(path, "M{x:.1} {y:.1}"),
                    _ if self.steps => write!(path, "H{x:.1}V{y:.1}"),
                    _ => write!(path, "L{x:.1} {y:.1}"),
                };
            }
            let dashes = if line.dashed {
                " stroke-dasharray=\"5 4\""
            } else {
                ""
            };
            let Line { name, colour, .. } = line;
            let _ = writeln!(
                svg,
                "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}/>"
            );
            let _ = writeln!(
                svg,
                "<text x=\"{right}\" y=\"{}\" text-anchor=\"end\" fill=\"{colour}\">{name}</text>",
                top - 12.0
            );
            right -= 56.0;
        }
    }
}

/// Steps of a grid that are easy to read (1, 2 or 5 of a power of ten), and how many it takes to pass a value.
fn grid(most: f64) -> (f64, f64) {
    let power = 10_f64.powf((most / LINES).log10().floor()).max(1.0);
    let step = [5.0, 2.0, 1.0].map(|factor| factor * power);
    let every = step
        .into_iter()
        .find(|every| most / every >= LINES)
        .unwrap_or(power);
    (every, (most / every).ceil())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn grids_pass_their_values_in_few_steps() {
        for (most, expected) in [
            (1.0, (1.0, 1.0)),
            (4.0, (1.0, 4.0)),
            (48.7, (10.0, 5.0)),
            (1373.0, (200.0, 7.0)),
            (2000.0, (500.0, 4.0)),
        ] {
            assert_eq!(grid(most), expected, "{most}");
        }
    }

    #[test]
    fn nothing_is_drawn_of_a_load_that_has_ended() {
        let sample = |at, clients| Sample {
            at: Duration::from_secs(at),
            clients,
            wanted: 1,
            ready: 1,
            rate: 100.0,
            p99: Duration::from_millis(10),
        };
        let svg = draw(&[sample(5, 8), sample(10, 8), sample(15, 0)]);
        assert_eq!(svg.matches("load ends").count(), 3);
        let of = |colour: &str| {
            let path = svg
                .lines()
                .find(|line| line.starts_with("<path") && line.contains(colour));
            path.map(|line| line.matches(['L', 'V']).count())
        };
        assert_eq!((of("#0b57d0"), of("#1a7f37")), (Some(2), Some(1)));
    }
}

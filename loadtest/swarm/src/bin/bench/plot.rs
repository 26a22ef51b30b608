//! Lines in a plane of two logarithmic axes, as SVG.

use std::fmt::Write as _;

/// A plot.
pub(crate) struct Plot<'a> {
    /// What stands above it.
    pub title: &'a str,
    /// Under it.
    pub x: &'a str,
    /// Beside it.
    pub y: &'a str,
    /// A level that matters, and why.
    pub level: Option<(f64, &'a str)>,
    /// Names and points, all above zero.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
/// Left, right, top, bottom of what is inside the axes.
const FRAME: [f64; 4] = [70.0, 560.0, 50.0, 380.0];
/// Told apart by everyone (Okabe and Ito), and on light and dark.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#808080"];

impl Plot<'_> {
    /// The picture.
    pub(crate) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let x = Axis::of(points().map(|point| point.0), FRAME[0], FRAME[1]);
        let level = self.level.iter().map(|level| level.0);
        let y = Axis::of(points().map(|point| point.1).chain(level), FRAME[3], FRAME[2]);
        let mut out = String::new();
        // Writing to a string does not fail; grey is read on both grounds.
        let _ = write!(
            out,
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13" fill="#808080"><title>{0}</title><text x="{1}" y="24" font-size="16">{0}</text>"##,
            self.title, FRAME[0]
        );
        for (value, at) in x.ticks() {
            let _ = write!(
                out,
                r##"<path d="M{at:.1} {}V{}" stroke="#80808040"/><text x="{at:.1}" y="{}" text-anchor="middle">{}</text>"##,
                FRAME[2],
                FRAME[3],
                FRAME[3] + 18.0,
                short(value)
            );
        }
        for (value, at) in y.ticks() {
            let _ = write!(
                out,
                r##"<path d="M{} {at:.1}H{}" stroke="#80808040"/><text x="{}" y="{:.1}" text-anchor="end">{}</text>"##,
                FRAME[0],
                FRAME[1],
                FRAME[0] - 6.0,
                at + 4.0,
                short(value)
            );
        }
        let _ = write!(
            out,
            r#"<text x="{:.0}" y="{}" text-anchor="middle">{}</text><text x="{}" y="42">{}</text>"#,
            f64::midpoint(FRAME[0], FRAME[1]),
            HEIGHT - 16.0,
            self.x,
            FRAME[0],
            self.y
        );
        if let Some((value, why)) = self.level {
            let at = y.place(value);
            let _ = write!(
                out,
                r##"<path d="M{} {at:.1}H{}" stroke="#808080" stroke-dasharray="6 4"/><text x="{}" y="{:.1}">{why}</text>"##,
                FRAME[0],
                FRAME[1],
                FRAME[1] + 8.0,
                at + 4.0
            );
        }
        for (index, (name, points)) in self.lines.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let places = points.iter().map(|point| (x.place(point.0), y.place(point.1)));
            let path: Vec<String> = places.clone().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
            let _ = write!(
                out,
                r#"<path d="M{}" fill="none" stroke="{colour}" stroke-width="2"/>"#,
                path.join("L")
            );
            for (x, y) in places {
                let _ = write!(out, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3.5" fill="{colour}"/>"#);
            }
            let _ = write!(
                out,
                r#"<text x="{}" y="{}" fill="{colour}">{name}</text>"#,
                FRAME[1] + 14.0,
                FRAME[2] + 16.0 + 20.0 * index as f64
            );
        }
        out + "</svg>\n"
    }
}

/// A logarithmic axis.
struct Axis {
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (least, most) = values
            .filter(|it| *it > 0.0)
            .fold((f64::MAX, f64::MIN), |(low, high), it| (low.min(it), high.max(it)));
        if least > most {
            return Self { least: 0.0, most: 1.0, from, to };
        }
        Self {
            least: least.log10().floor(),
            most: most.log10().ceil().max(least.log10().floor() + 1.0),
            from,
            to,
        }
    }

    fn place(&self, value: f64) -> f64 {
        self.from + (value.log10() - self.least) / (self.most - self.least) * (self.to - self.from)
    }

    fn ticks(&self) -> Vec<(f64, f64)> {
        let decades = (self.most - self.least) as i32;
        (0..=decades)
            .map(|decade| 10_f64.powf(self.least + f64::from(decade)))
            .map(|value| (value, self.place(value)))
            .collect()
    }
}

/// `10k` rather than `10000`.
fn short(value: f64) -> String {
    match value {
        1e6.. => format!("{}M", value / 1e6),
        1e3.. => format!("{}k", value / 1e3),
        _ => format!("{value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_stand_where_their_logarithms_are() {
        let axis = Axis::of([10.0, 900.0].into_iter(), 0.0, 100.0);
        assert!((axis.place(10.0) - 0.0).abs() < 1e-9);
        assert!((axis.place(100.0) - 50.0).abs() < 1e-9);
        assert_eq!(axis.ticks().len(), 3);
    }

    #[test]
    fn a_plot_of_nothing_is_a_picture_too() {
        let plot = Plot { title: "t", x: "x", y: "y", level: None, lines: Vec::new() };
        assert!(plot.svg().ends_with("</svg>\n"));
    }
}

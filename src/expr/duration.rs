//! Durations as Go reads and writes them: `1h30m`, `500ms`, `-1.5h`.

use std::fmt;

/// A signed count of nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub i64);

const SECOND: i64 = 1_000_000_000;

fn unit(name: &str) -> Option<i64> {
    Some(match name {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3600 * SECOND,
        _ => return None,
    })
}

impl Duration {
    /// Reads a duration; `0` needs no unit, everything else does.
    pub fn parse(text: &str) -> Option<Duration> {
        let (negative, mut rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Some(Duration(0));
        }
        if rest.is_empty() {
            return None;
        }
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let (number, tail) = rest.split_at(digits);
            let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
            let (name, tail) = tail.split_at(end);
            total = total.checked_add(part(number, unit(name)?)?)?;
            if total > 1 << 63 {
                return None;
            }
            rest = tail;
        }
        i64::try_from(if negative { -total } else { total }).ok().map(Duration)
    }

    /// In seconds.
    pub fn seconds(self) -> f64 {
        (self.0 / SECOND) as f64 + (self.0 % SECOND) as f64 / SECOND as f64
    }

    /// A number of seconds as a duration, cut to nanoseconds. What is too long is the shortest of all, as the processor
    /// has it that the reference runs on.
    pub fn from_seconds(seconds: f64) -> Duration {
        let nanos = seconds * SECOND as f64;
        let fits = nanos >= i64::MIN as f64 && nanos < i64::MAX as f64;
        Duration(if fits { nanos as i64 } else { i64::MIN })
    }
}

/// `number` units; the digits after the point are cut to nanoseconds.
fn part(number: &str, unit: i64) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse::<i64>().ok()?.into() };
    // Digits beyond the eighteenth cannot change a nanosecond.
    let fraction = &fraction[..fraction.len().min(18)];
    let nanos: i128 = if fraction.is_empty() {
        0
    } else {
        i128::from(fraction.parse::<i64>().ok()?) * i128::from(unit) / 10_i128.pow(fraction.len() as u32)
    };
    Some(whole * i128::from(unit) + nanos)
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        if nanos == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let second = SECOND.unsigned_abs();
        if nanos < second {
            let (unit, name) = match nanos {
                0..1_000 => (1, "ns"),
                1_000..1_000_000 => (1_000, "µs"),
                _ => (1_000_000, "ms"),
            };
            return write!(f, "{}{name}", decimal(nanos, unit));
        }
        let (hours, minutes) = (nanos / (3600 * second), nanos / (60 * second) % 60);
        if hours > 0 {
            write!(f, "{hours}h{minutes}m")?;
        } else if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        write!(f, "{}s", decimal(nanos % (60 * second), second))
    }
}

fn decimal(value: u64, unit: u64) -> String {
    let width = unit.ilog10() as usize;
    let fraction = format!("{:0width$}", value % unit);
    match fraction.trim_end_matches('0') {
        "" => (value / unit).to_string(),
        digits => format!("{}.{digits}", value / unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_as_go() {
        for (text, shown) in [
            ("0", "0s"),
            ("1h30m", "1h30m0s"),
            ("1.5h", "1h30m0s"),
            ("-90s", "-1m30s"),
            ("500ms", "500ms"),
            ("1500us", "1.5ms"),
            (".5s", "500ms"),
            ("1s1ns", "1.000000001s"),
            ("+3m", "3m0s"),
        ] {
            assert_eq!(Duration::parse(text).unwrap().to_string(), shown, "{text}");
        }
        for bad in ["", "1", "-", "1x", "h", "1h2", ".s", "1..5s", "9999999999h", "1 h"] {
            assert_eq!(Duration::parse(bad), None, "{bad}");
        }
    }
}

//! Points in time in Go's layouts (`Mon Jan 2 15:04:05 MST 2006`).

mod layout;

pub use layout::parse;

use std::fmt;

use super::duration::Duration;

/// RFC 3339, the layout of Kubernetes.
pub const RFC3339: &str = "2006-01-02T15:04:05Z07:00";
/// Seconds from the year 1, Go's zero time, to 1970.
const ZERO_TIME: i128 = 62_135_596_800;
const NANO: i128 = 1_000_000_000;

/// A point in time and the offset it is shown with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// Nanoseconds since 1970 (UTC).
    pub nanos: i128,
    /// Seconds east of UTC.
    pub offset: i32,
}

impl Time {
    /// Reads RFC 3339.
    pub fn parse(text: &str) -> Result<Time, String> {
        parse(RFC3339, text)
    }

    /// A point in time shown in UTC.
    pub fn utc(nanos: i128) -> Time {
        Time { nanos, offset: 0 }
    }

    /// From there to here.
    pub fn since(&self, earlier: &Time) -> Duration {
        let difference = (self.nanos - earlier.nanos).clamp(i64::MIN.into(), i64::MAX.into());
        Duration(i64::try_from(difference).unwrap_or_default())
    }

    /// That much later.
    pub fn plus(&self, duration: Duration) -> Time {
        Time { nanos: self.nanos + i128::from(duration.0), offset: self.offset }
    }

    /// Rounded down to a multiple of a duration since the year 1.
    pub fn truncate(&self, to: Duration) -> Time {
        if to.0 <= 0 {
            return *self;
        }
        let since_zero = self.nanos + ZERO_TIME * NANO;
        Time { nanos: self.nanos - since_zero.rem_euclid(to.0.into()), offset: self.offset }
    }

    /// Year, month, day, hour, minute and second where it is shown.
    pub fn civil(&self) -> (i64, u32, u32, u32, u32, u32) {
        let seconds = self.local_seconds();
        let (year, month, day) = date_of(seconds.div_euclid(86_400));
        let clock = u32::try_from(seconds.rem_euclid(86_400)).unwrap_or_default();
        (year, month, day, clock / 3600, clock / 60 % 60, clock % 60)
    }

    /// 0 is Sunday.
    pub fn weekday(&self) -> i64 {
        (self.local_seconds().div_euclid(86_400) + 4).rem_euclid(7)
    }

    fn local_seconds(&self) -> i64 {
        i64::try_from(self.nanos.div_euclid(NANO)).unwrap_or_default() + i64::from(self.offset)
    }
}

impl fmt::Display for Time {
    /// RFC 3339 without fractions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day, hour, minute, second) = self.civil();
        let sign = if year < 0 { "-" } else { "" };
        write!(f, "{sign}{:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}", year.abs())?;
        let minutes = self.offset / 60;
        if minutes == 0 {
            return f.write_str("Z");
        }
        let sign = if minutes < 0 { '-' } else { '+' };
        write!(f, "{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
    }
}

/// Days since 1970 of a date in the proleptic Gregorian calendar.
pub(crate) fn days_of(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month = i64::from((month + 9) % 12);
    let day_of_year = (153 * month + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn date_of(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, u32::try_from(month).unwrap_or(1), u32::try_from(day).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time::parse(text).unwrap()
    }

    #[test]
    fn reads_calculates_and_writes() {
        for text in ["2024-05-23T10:00:00Z", "1969-12-31T23:59:59-07:00", "2000-02-29T00:00:00+05:30"] {
            assert_eq!(at(text).to_string(), text);
        }
        assert_eq!(at("2024-05-23T10:00:00.5Z").since(&at("2024-05-23T10:00:00Z")).to_string(), "500ms");
        assert_eq!(
            at("2024-05-23T10:34:56Z").truncate(Duration::parse("24h").unwrap()),
            at("2024-05-23T00:00:00Z")
        );
        assert_eq!(at("2024-05-23T10:34:56+02:00").weekday(), 4);
        for bad in [
            "2024-13-01T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-05-23",
            "",
            "2024-05-23T25:00:00Z",
            "2024-05-23T10:00:00",
        ] {
            assert!(Time::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn other_layouts() {
        for (layout, text, expected) in [
            ("2006-01-02", "2024-05-23", "2024-05-23T00:00:00Z"),
            ("Mon Jan 02 2006 15:04:05 -0700", "Fri Jun 22 2022 17:45:00 +0100", "2022-06-22T17:45:00+01:00"),
            ("Monday, January _2, 06 3:04PM", "Thursday, May  3, 24 1:02PM", "2024-05-03T13:02:00Z"),
            ("02 Jan 06 15:04 MST", "23 May 24 10:00 UTC", "2024-05-23T10:00:00Z"),
            ("15:04:05.000", "01:02:03.456", "0000-01-01T01:02:03Z"),
            ("__2 2006", " 44 2024", "2024-02-13T00:00:00Z"),
            ("2006-01-02 MST", "2024-05-23 GMT+3", "2024-05-23T03:00:00+03:00"),
            ("2006-01-02 -0700 MST", "2024-05-23 +0200 GMT+3", "2024-05-23T00:00:00+02:00"),
            ("2006-01-02 MST", "2024-05-23 WITA", "2024-05-23T00:00:00Z"),
        ] {
            assert_eq!(parse(layout, text).unwrap().to_string(), expected);
        }
        for (layout, bad) in [
            ("2006-01-02", "2024-05-23x"),
            ("3 pm", "3 PM"),
            ("MST", "-1"),
            ("MST", "ABCDE"),
            ("MST", "ABCD"),
        ] {
            assert!(parse(layout, bad).is_err(), "{layout}: {bad}");
        }
    }
}

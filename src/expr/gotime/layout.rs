//! Reading a text by a layout, as `time.Parse` does.

use super::{Time, days_of};

/// The parts of a layout, longest first where one begins another.
const PARTS: [(&str, Part); 33] = [
    ("January", Part::MonthName),
    ("Jan", Part::MonthShort),
    ("Monday", Part::DayName),
    ("Mon", Part::DayShort),
    ("MST", Part::Zone),
    ("2006", Part::Year),
    ("06", Part::ShortYear),
    ("01", Part::Number(Field::Month, 2)),
    ("02", Part::Number(Field::Day, 2)),
    ("03", Part::Number(Field::Hour12, 2)),
    ("04", Part::Number(Field::Minute, 2)),
    ("05", Part::Number(Field::Second, 2)),
    ("002", Part::Number(Field::YearDay, 3)),
    ("15", Part::Number(Field::Hour, 2)),
    ("__2", Part::PaddedYearDay),
    ("_2", Part::Padded),
    ("1", Part::Number(Field::Month, 1)),
    ("2", Part::Number(Field::Day, 1)),
    ("3", Part::Number(Field::Hour12, 1)),
    ("4", Part::Number(Field::Minute, 1)),
    ("5", Part::Number(Field::Second, 1)),
    ("PM", Part::Half { lower: false }),
    ("pm", Part::Half { lower: true }),
    ("Z07:00:00", Part::Offset { zulu: true, colons: true, digits: 6 }),
    ("Z070000", Part::Offset { zulu: true, colons: false, digits: 6 }),
    ("Z07:00", Part::Offset { zulu: true, colons: true, digits: 4 }),
    ("Z0700", Part::Offset { zulu: true, colons: false, digits: 4 }),
    ("Z07", Part::Offset { zulu: true, colons: false, digits: 2 }),
    ("-07:00:00", Part::Offset { zulu: false, colons: true, digits: 6 }),
    ("-070000", Part::Offset { zulu: false, colons: false, digits: 6 }),
    ("-07:00", Part::Offset { zulu: false, colons: true, digits: 4 }),
    ("-0700", Part::Offset { zulu: false, colons: false, digits: 4 }),
    ("-07", Part::Offset { zulu: false, colons: false, digits: 2 }),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Month,
    Day,
    YearDay,
    Hour,
    Hour12,
    Minute,
    Second,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Year,
    ShortYear,
    MonthName,
    MonthShort,
    DayName,
    DayShort,
    Number(Field, usize),
    Padded,
    PaddedYearDay,
    Half {
        lower: bool,
    },
    Zone,
    Offset {
        zulu: bool,
        colons: bool,
        digits: usize,
    },
    /// This many digits, or any number of them or none.
    Fraction(Option<usize>),
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The first part of a layout: the literal before it, the part, and the rest.
fn next_part(layout: &str) -> (&str, Option<Part>, &str) {
    for (at, _) in layout.char_indices() {
        let rest = &layout[at..];
        if let Some((part, length)) = fraction_part(rest) {
            return (&layout[..at], Some(part), &rest[length..]);
        }
        // `Jan` in `Janus` is no month.
        let found =
            PARTS.iter().find(|(text, part)| rest.strip_prefix(text).is_some_and(|after| fits(*part, after)));
        if let Some((text, part)) = found {
            return (&layout[..at], Some(*part), &rest[text.len()..]);
        }
    }
    (layout, None, "")
}

/// `.000` or `,999`, if no digit follows.
fn fraction_part(layout: &str) -> Option<(Part, usize)> {
    let digits = layout.strip_prefix(['.', ','])?;
    let first = digits.chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let count = digits.chars().take_while(|c| *c == first).count();
    if digits[count..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    Some((Part::Fraction((first == '0').then_some(count)), 1 + count))
}

fn fits(part: Part, after: &str) -> bool {
    match part {
        Part::MonthShort | Part::DayShort => !after.starts_with(|c: char| c.is_ascii_lowercase()),
        _ => true,
    }
}

#[derive(Default)]
struct Fields {
    year: i64,
    month: Option<u32>,
    day: Option<u32>,
    year_day: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    nanos: u32,
    afternoon: Option<bool>,
    /// Whether the text says that it is UTC, which counts more than an offset.
    utc: bool,
    /// Seconds east of UTC in digits.
    offset: Option<i32>,
    /// What the name of a zone adds; it is shown, but the time is not moved by it.
    named_offset: i32,
}

/// Reads a text by a layout.
pub fn parse(layout: &str, text: &str) -> Result<Time, String> {
    let error = |what: &str| format!("parsing time {text:?} as {layout:?}: {what}");
    let mut fields = Fields::default();
    let (mut rest, mut layout_rest) = (text, layout);
    loop {
        let (literal, part, after) = next_part(layout_rest);
        rest = skip(rest, literal).ok_or_else(|| error(&format!("cannot parse {rest:?} as {literal:?}")))?;
        let Some(part) = part else { break };
        let fraction_follows = fraction_part(after).is_some();
        rest = fields
            .read(part, rest, fraction_follows)
            .ok_or_else(|| error(&format!("cannot parse {rest:?}")))?;
        layout_rest = after;
    }
    if !rest.is_empty() {
        return Err(error(&format!("extra text: {rest:?}")));
    }
    fields.time().ok_or_else(|| error("out of range"))
}

/// Drops a literal; a run of spaces in the layout matches any run in the text.
fn skip<'t>(mut text: &'t str, literal: &str) -> Option<&'t str> {
    let mut literal = literal;
    while let Some(c) = literal.chars().next() {
        if c == ' ' {
            if !text.is_empty() && !text.starts_with(' ') {
                return None;
            }
            literal = literal.trim_start_matches(' ');
            text = text.trim_start_matches(' ');
        } else {
            text = text.strip_prefix(c)?;
            literal = &literal[c.len_utf8()..];
        }
    }
    Some(text)
}

/// One number of at least `least` and at most `most` digits.
fn digits(text: &str, least: usize, most: usize) -> Option<(u32, &str)> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if count < least {
        return None;
    }
    Some((text[..count].parse().ok()?, &text[count..]))
}

fn name<'t>(text: &'t str, names: &[&str], length: Option<usize>) -> Option<(u32, &'t str)> {
    names.iter().zip(1..).find_map(|(name, number)| {
        let wanted = &name[..length.unwrap_or(name.len())];
        let start = text.get(..wanted.len())?;
        start.eq_ignore_ascii_case(wanted).then(|| (number, &text[wanted.len()..]))
    })
}

impl Fields {
    fn read<'t>(&mut self, part: Part, text: &'t str, fraction_follows: bool) -> Option<&'t str> {
        match part {
            Part::Year => {
                let (year, rest) = digits(text, 4, 4)?;
                self.year = year.into();
                Some(rest)
            }
            Part::ShortYear => {
                let (year, rest) = digits(text, 2, 2)?;
                self.year = i64::from(year) + if year >= 69 { 1900 } else { 2000 };
                Some(rest)
            }
            Part::MonthName | Part::MonthShort => {
                let (month, rest) = name(text, &MONTHS, (part == Part::MonthShort).then_some(3))?;
                self.month = Some(month);
                Some(rest)
            }
            Part::DayName | Part::DayShort => {
                name(text, &DAYS, (part == Part::DayShort).then_some(3)).map(|(_, rest)| rest)
            }
            Part::Padded => {
                let (day, rest) = digits(text.strip_prefix(' ').unwrap_or(text), 1, 2)?;
                self.day = Some(day);
                Some(rest)
            }
            Part::Number(field, least) => self.number(field, least, text, fraction_follows),
            Part::PaddedYearDay => {
                let unpadded = text.strip_prefix(' ').unwrap_or(text);
                let (day, rest) = digits(unpadded.strip_prefix(' ').unwrap_or(unpadded), 1, 3)?;
                self.year_day = Some(day);
                Some(rest)
            }
            Part::Half { lower } => {
                self.afternoon = Some(match (text.get(..2)?, lower) {
                    ("PM", false) | ("pm", true) => true,
                    ("AM", false) | ("am", true) => false,
                    _ => return None,
                });
                Some(&text[2..])
            }
            Part::Zone => self.zone(text),
            Part::Offset { zulu, colons, digits } => self.offset(text, zulu, colons, digits),
            Part::Fraction(count) => self.fraction(text, count),
        }
    }

    fn number<'t>(
        &mut self,
        field: Field,
        least: usize,
        text: &'t str,
        fraction_follows: bool,
    ) -> Option<&'t str> {
        // Hours of the day may have one digit even where the layout shows two.
        let (least, most) = match field {
            Field::YearDay => (3, 3),
            Field::Hour => (1, 2),
            _ => (least, 2),
        };
        let (value, rest) = digits(text, least, most)?;
        match field {
            Field::Month => self.month = (1..=12).contains(&value).then_some(value).or(Some(13)),
            Field::Day => self.day = Some(value),
            Field::YearDay => self.year_day = Some(value),
            Field::Hour => self.hour = value,
            Field::Hour12 if value > 12 => return None,
            Field::Hour12 => self.hour = value,
            Field::Minute => self.minute = value,
            Field::Second => self.second = value,
        }
        let fraction = rest.starts_with(['.', ',']) && rest[1..].starts_with(|c: char| c.is_ascii_digit());
        if field == Field::Second && fraction && !fraction_follows {
            return self.fraction(rest, None);
        }
        Some(rest)
    }

    fn fraction<'t>(&mut self, text: &'t str, exact: Option<usize>) -> Option<&'t str> {
        let digits = text.strip_prefix(['.', ',']).unwrap_or_default();
        let there = digits.bytes().take_while(u8::is_ascii_digit).count();
        let count = match exact {
            Some(count) if there < count => return None,
            Some(count) => count,
            None if there == 0 => return Some(text),
            None => there,
        };
        self.nanos = format!("{:0<9}", &digits[..count.min(9)]).parse().ok()?;
        Some(&digits[count..])
    }

    /// The letters of a zone, of which only `UTC` and `GMT+3` say an offset, or a number in their place.
    fn zone<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        // The hours of `+3` and how long that is; nothing if it is more than 23.
        let signed = |text: &str| {
            let digits = text.strip_prefix(['+', '-'])?;
            let count = digits.bytes().take_while(u8::is_ascii_digit).count();
            let hours: i32 = digits[..count].parse().ok().filter(|hours| *hours < 24)?;
            Some((if text.starts_with('-') { -hours } else { hours }, 1 + count))
        };
        if let Some(after) = text.strip_prefix("UTC") {
            self.utc = true;
            return Some(after);
        }
        if text.len() < 3 {
            return None;
        }
        if text.starts_with("ChST") || text.starts_with("MeST") {
            return Some(&text[4..]);
        }
        if let Some(after) = text.strip_prefix("GMT") {
            let (hours, length) = signed(after).unwrap_or_default();
            self.named_offset = hours * 3600;
            return Some(&after[length..]);
        }
        if text.starts_with(['+', '-']) {
            return signed(text).map(|(_, length)| &text[length..]);
        }
        let letters = text.bytes().take_while(u8::is_ascii_uppercase).count();
        let known = match letters {
            3 => true,
            4 => text[..4].ends_with('T') || text.starts_with("WITA"),
            5 => text[..5].ends_with('T'),
            _ => false,
        };
        known.then(|| &text[letters..])
    }

    fn offset<'t>(&mut self, text: &'t str, zulu: bool, colons: bool, count: usize) -> Option<&'t str> {
        if zulu && let Some(rest) = text.strip_prefix('Z') {
            self.utc = true;
            return Some(rest);
        }
        let sign = match text.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let mut rest = &text[1..];
        let mut seconds = 0;
        for (at, unit) in [3600, 60, 1].into_iter().take(count / 2).enumerate() {
            if colons && at > 0 {
                rest = rest.strip_prefix(':')?;
            }
            let (value, after) = digits(rest, 2, 2)?;
            if value >= if at == 0 { 25 } else { 60 } {
                return None;
            }
            seconds += i32::try_from(value).ok()? * unit;
            rest = after;
        }
        self.offset = Some(sign * seconds);
        Some(rest)
    }

    fn time(self) -> Option<Time> {
        let (month, day) = match (self.month, self.day, self.year_day) {
            (None, None, Some(day)) => (1, day),
            (month, day, _) => (month.unwrap_or(1), day.unwrap_or(1)),
        };
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let last = match month {
            _ if self.year_day.is_some() => 365 + u32::from(leap),
            2 => 28 + u32::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        let hour = match self.afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        if day < 1 || day > last || hour > 23 || self.minute > 59 || self.second > 59 {
            return None;
        }
        let clock = i64::from(hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        let seconds = days_of(self.year, month, 1) * 86_400 + i64::from(day - 1) * 86_400 + clock;
        let (moved, offset) = match self.offset {
            _ if self.utc => (0, 0),
            Some(offset) => (offset, offset),
            None => (0, self.named_offset),
        };
        let nanos = i128::from(seconds - i64::from(moved)) * 1_000_000_000 + i128::from(self.nanos);
        Some(Time { nanos, offset })
    }
}

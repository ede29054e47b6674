//! Schedules in cron's form, as the policies that delete have them.

use crate::expr::duration::Duration;

/// A field of a schedule: its name, its smallest and largest number, and words for its numbers.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    words: &'static [&'static str],
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

static FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, words: &[] },
    Field { name: "hour", least: 0, most: 23, words: &[] },
    Field { name: "day of the month", least: 1, most: 31, words: &[] },
    Field { name: "month", least: 1, most: 12, words: MONTHS },
    Field { name: "day of the week", least: 0, most: 6, words: DAYS },
];

const DESCRIPTORS: &[&str] =
    &["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// Whether a text is a schedule: five fields, or a word such as `@daily` or `@every 1h`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(schedule: &str) -> Result<(), String> {
    if schedule.starts_with('@') {
        let every = schedule.strip_prefix("@every ").map(|length| Duration::parse(length).is_some());
        return match every.unwrap_or_else(|| DESCRIPTORS.contains(&schedule)) {
            true => Ok(()),
            false => Err(format!(
                "{schedule:?} is no schedule; words are {} and @every 1h30m",
                DESCRIPTORS.join(", ")
            )),
        };
    }
    let parts: Vec<&str> = schedule.split_whitespace().collect();
    if parts.len() != FIELDS.len() {
        let names: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
        return Err(format!("a schedule has five fields ({}), not {}", names.join(", "), parts.len()));
    }
    for (part, field) in parts.iter().zip(&FIELDS) {
        for range in part.split(',') {
            field.check(range).map_err(|why| format!("{}: {range:?} {why}", field.name))?;
        }
    }
    Ok(())
}

impl Field {
    /// `*`, `5`, `1-5`, `mon-fri`, each with `/2` behind.
    fn check(&self, range: &str) -> Result<(), String> {
        let (ends, step) = match range.split_once('/') {
            Some((ends, step)) => (ends, Some(step)),
            None => (range, None),
        };
        if let Some(step) = step
            && !step.parse::<u32>().is_ok_and(|step| step > 0)
        {
            return Err("has a step that is no positive number".to_owned());
        }
        if ends == "*" || ends == "?" {
            return Ok(());
        }
        let (first, last) = ends.split_once('-').unwrap_or((ends, ends));
        let (first, last) = (self.number(first)?, self.number(last)?);
        if first > last {
            return Err("ends before it begins".to_owned());
        }
        Ok(())
    }

    fn number(&self, text: &str) -> Result<u32, String> {
        let word = self.words.iter().position(|word| text.eq_ignore_ascii_case(word));
        let number = match word.and_then(|at| u32::try_from(at).ok()) {
            Some(at) => at + self.least,
            None => text.parse().map_err(|_| "is no number".to_owned())?,
        };
        if !(self.least..=self.most).contains(&number) {
            return Err(format!("is not between {} and {}", self.least, self.most));
        }
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_told_from_what_is_none() {
        for good in [
            "*/5 * * * *",
            "0 0 1,15 * mon-fri",
            "5/10 0-6 ? JAN 0",
            "@daily",
            "@every 1h30m",
            " 0  0 * * * ",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("", "five fields"),
            ("* * * *", "not 4"),
            ("* * * * * *", "not 6"),
            ("60 * * * *", "minute: \"60\" is not between 0 and 59"),
            ("* * 0 * *", "between 1 and 31"),
            ("* * * * 7", "between 0 and 6"),
            ("*/0 * * * *", "no positive number"),
            ("5-1 * * * *", "ends before"),
            ("a * * * *", "is no number"),
            ("@never", "is no schedule"),
            ("@every day", "is no schedule"),
        ] {
            let error = check(bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}

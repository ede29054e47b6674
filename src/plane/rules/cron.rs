//! The schedule of a cron job: five fields, or a descriptor such as `@daily`.

const DESCRIPTORS: [&str; 7] =
    ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A field: its bounds and the names of its values.
struct Field {
    from: u32,
    to: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { from: 0, to: 59, names: &[] },
    Field { from: 0, to: 23, names: &[] },
    Field { from: 1, to: 31, names: &[] },
    Field { from: 1, to: 12, names: &MONTHS },
    Field { from: 0, to: 6, names: &DAYS },
];

/// Why a schedule cannot be read.
pub(super) fn error(schedule: &str) -> Option<String> {
    let mut spec = schedule;
    if spec.starts_with("TZ=") || spec.starts_with("CRON_TZ=") {
        let (zone, rest) = spec.split_once(' ')?;
        let zone = zone.split_once('=').map_or("", |(_, zone)| zone);
        if zone != "UTC" && jiff::tz::TimeZone::get(zone).is_err() {
            return Some(format!("provided bad location {zone}: unknown time zone {zone}"));
        }
        spec = rest.trim();
    }
    if spec.starts_with('@') {
        if DESCRIPTORS.contains(&spec) {
            return None;
        }
        if let Some(every) = spec.strip_prefix("@every ") {
            let known = every.ends_with(['s', 'm', 'h']) && every.starts_with(|c: char| c.is_ascii_digit());
            return (!known)
                .then(|| format!("failed to parse duration {spec}: time: invalid duration {every:?}"));
        }
        return Some(format!("unrecognized descriptor: {spec}"));
    }
    let fields: Vec<&str> = spec.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let shown: Vec<&str> = fields.clone();
        return Some(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), shown.join(" ")));
    }
    fields.iter().zip(&FIELDS).find_map(|(text, field)| text.split(',').find_map(|part| range(part, field)))
}

fn range(expression: &str, field: &Field) -> Option<String> {
    let parts: Vec<&str> = expression.split('/').collect();
    let ends: Vec<&str> = parts[0].split('-').collect();
    let (start, mut end);
    if matches!(ends[0], "*" | "?") {
        (start, end) = (field.from, field.to);
    } else {
        start = match value(ends[0], field) {
            Ok(value) => value,
            Err(why) => return Some(why),
        };
        end = match ends[..] {
            [_] => start,
            [_, end] => match value(end, field) {
                Ok(value) => value,
                Err(why) => return Some(why),
            },
            _ => return Some(format!("too many hyphens: {expression}")),
        };
    }
    let mut step = 1;
    match parts[..] {
        [_] => {}
        [_, text] => {
            step = match number(text) {
                Ok(step) => step,
                Err(why) => return Some(why),
            };
            if ends.len() == 1 {
                end = field.to;
            }
        }
        _ => return Some(format!("too many slashes: {expression}")),
    }
    if start < field.from {
        return Some(format!("beginning of range ({start}) below minimum ({}): {expression}", field.from));
    }
    if end > field.to {
        return Some(format!("end of range ({end}) above maximum ({}): {expression}", field.to));
    }
    if start > end {
        return Some(format!("beginning of range ({start}) beyond end of range ({end}): {expression}"));
    }
    (step == 0).then(|| format!("step of range should be a positive number: {expression}"))
}

fn value(text: &str, field: &Field) -> Result<u32, String> {
    let lower = text.to_ascii_lowercase();
    match field.names.iter().position(|name| *name == lower) {
        Some(index) => Ok(index as u32 + field.from),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u32, String> {
    text.parse::<u32>().map_err(|_| {
        format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_read() {
        assert_eq!(error("*/5 0-3 1,2 jan mon-fri"), None);
        assert_eq!(error("@daily"), None);
        assert_eq!(error("nope").unwrap(), "expected exactly 5 fields, found 1: [nope]");
        assert_eq!(error("61 * * * *").unwrap(), "end of range (61) above maximum (59): 61");
    }
}

//! Writing YAML as `kubectl -o yaml` does: keys in natural order, lists at the column of their key, text quoted only
//! where it would be read as something else, long lines folded.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::resolve;

/// Text beyond this column is folded at the next space.
const WIDTH: usize = 80;
/// The longest key that may stand before its `:` on one line, in bytes.
const LONGEST_SIMPLE_KEY: usize = 128;

/// The value as YAML, with a line break at the end.
pub fn write(value: &Value) -> String {
    let mut emitter = Emitter { indent: -1, whitespace: true, indention: true, ..Emitter::default() };
    emitter.value(value, Context::Other);
    emitter.write_indent();
    emitter.out
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq)]
enum Context {
    /// A key on one line with its `:`.
    SimpleKey,
    /// A key after `?`, or a value of a mapping.
    Mapping,
    Other,
}

#[derive(Default)]
struct Emitter {
    out: String,
    column: usize,
    indent: i64,
    /// Whether the last character was white space.
    whitespace: bool,
    /// Whether only indentation and indicators stand on this line.
    indention: bool,
}

impl Emitter {
    fn value(&mut self, value: &Value, context: Context) {
        match value {
            Value::Null => self.scalar("null", Style::Plain, context),
            Value::Bool(bool) => self.scalar(if *bool { "true" } else { "false" }, Style::Plain, context),
            Value::Number(number) => self.scalar(&number_text(number), Style::Plain, context),
            Value::String(text) => self.scalar(text, Style::of_text(text, context), context),
            Value::Array(items) if items.is_empty() => self.empty("[", "]"),
            Value::Object(map) if map.is_empty() => self.empty("{", "}"),
            Value::Array(items) => self.sequence(items, context),
            Value::Object(map) => self.mapping(map),
        }
    }

    fn empty(&mut self, open: &str, close: &str) {
        self.indicator(open, true, true, false);
        self.indicator(close, false, false, false);
    }

    fn sequence(&mut self, items: &[Value], context: Context) {
        let outer = self.indent;
        // A list that is the value of a key on the same line stands at the key's column.
        if context != Context::Mapping || self.indention {
            self.indent = if outer < 0 { 0 } else { outer + 2 };
        }
        for item in items {
            self.write_indent();
            self.indicator("-", true, false, true);
            self.value(item, Context::Other);
        }
        self.indent = outer;
    }

    fn mapping(&mut self, map: &Map<String, Value>) {
        let outer = self.indent;
        self.indent = if outer < 0 { 0 } else { outer + 2 };
        let mut keys: Vec<&String> = map.keys().collect();
        keys.sort_by(|a, b| natural_order(a, b));
        for key in keys {
            self.write_indent();
            if !key.chars().any(is_break) && key.len() <= LONGEST_SIMPLE_KEY {
                self.scalar(key, Style::of_text(key, Context::SimpleKey), Context::SimpleKey);
                self.indicator(":", false, false, false);
            } else {
                self.indicator("?", true, false, true);
                self.scalar(key, Style::of_text(key, Context::Mapping), Context::Mapping);
                self.write_indent();
                self.indicator(":", true, false, true);
            }
            self.value(&map[key.as_str()], Context::Mapping);
        }
        self.indent = outer;
    }

    fn scalar(&mut self, text: &str, style: Style, context: Context) {
        let outer = self.indent;
        self.indent = if outer < 0 { 2 } else { outer + 2 };
        let fold = context != Context::SimpleKey;
        match style {
            Style::Plain => self.plain(text, fold),
            Style::Single => self.single_quoted(text, fold),
            Style::Double => self.double_quoted(text, fold),
            Style::Literal => self.literal(text),
        }
        self.indent = outer;
    }

    fn plain(&mut self, text: &str, fold: bool) {
        if !self.whitespace {
            self.put(' ');
        }
        self.folded(text, fold, false);
        self.whitespace = false;
        self.indention = false;
    }

    fn single_quoted(&mut self, text: &str, fold: bool) {
        self.indicator("'", true, false, false);
        self.folded(text, fold, true);
        self.indicator("'", false, false, false);
    }

    /// The words of a text without line breaks, on as many lines as needed.
    fn folded(&mut self, text: &str, fold: bool, quoted: bool) {
        let (mut after_space, mut after_break) = (false, false);
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c == ' ' {
                let next_is_space = chars.peek().is_some_and(|(_, next)| *next == ' ');
                let at_edge = quoted && (at == 0 || at + 1 == text.len());
                if fold && !after_space && self.column > WIDTH && !at_edge && !next_is_space {
                    self.write_indent();
                } else {
                    self.put(' ');
                }
                after_space = true;
            } else if is_break(c) {
                // Not a line feed: such text is written as a block or in double quotes.
                self.put_foreign_break(c);
                after_break = true;
            } else {
                if after_break {
                    self.write_indent();
                    after_break = false;
                }
                if quoted && c == '\'' {
                    self.put('\'');
                }
                self.put(c);
                self.indention = false;
                after_space = false;
            }
        }
    }

    fn double_quoted(&mut self, text: &str, fold: bool) {
        self.indicator("\"", true, false, false);
        let mut after_space = false;
        // kubectl's writer escapes all of a text that begins with a byte order mark.
        let escape_all = text.starts_with('\u{feff}');
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if escape_all || !is_printable(c) || is_break(c) || matches!(c, '"' | '\\') {
                self.escape(c);
                after_space = false;
            } else if c == ' ' {
                let at_edge = at == 0 || at + 1 == text.len();
                if fold && !after_space && self.column > WIDTH && !at_edge {
                    self.write_indent();
                    if chars.peek().is_some_and(|(_, next)| *next == ' ') {
                        self.put('\\');
                    }
                } else {
                    self.put(' ');
                }
                after_space = true;
            } else {
                self.put(c);
                after_space = false;
            }
        }
        self.indicator("\"", false, false, false);
    }

    fn escape(&mut self, c: char) {
        let code = u32::from(c);
        let text = match c {
            '\0' => "\\0".to_owned(),
            '\x07' => "\\a".to_owned(),
            '\x08' => "\\b".to_owned(),
            '\t' => "\\t".to_owned(),
            '\n' => "\\n".to_owned(),
            '\x0B' => "\\v".to_owned(),
            '\x0C' => "\\f".to_owned(),
            '\r' => "\\r".to_owned(),
            '\x1B' => "\\e".to_owned(),
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            '\u{85}' => "\\N".to_owned(),
            '\u{a0}' => "\\_".to_owned(),
            '\u{2028}' => "\\L".to_owned(),
            '\u{2029}' => "\\P".to_owned(),
            _ if code <= 0xFF => format!("\\x{code:02X}"),
            _ if code <= 0xFFFF => format!("\\u{code:04X}"),
            _ => format!("\\U{code:08X}"),
        };
        text.chars().for_each(|c| self.put(c));
    }

    fn literal(&mut self, text: &str) {
        self.indicator("|", true, false, false);
        if text.starts_with(|c| c == ' ' || is_break(c)) {
            self.indicator("2", false, false, false);
        }
        let mut from_end = text.chars().rev();
        match (from_end.next().is_some_and(is_break), from_end.next().is_none_or(is_break)) {
            (false, _) => self.indicator("-", false, false, false),
            (true, true) => self.indicator("+", false, false, false),
            (true, false) => {}
        }
        self.put_break();
        self.indention = true;
        self.whitespace = true;
        let mut after_break = true;
        for c in text.chars() {
            if is_break(c) {
                if c == '\n' {
                    self.put_break();
                } else {
                    self.put_foreign_break(c);
                }
                self.indention = true;
                after_break = true;
            } else {
                if after_break {
                    self.write_indent();
                }
                self.put(c);
                self.indention = false;
                after_break = false;
            }
        }
    }

    fn indicator(&mut self, text: &str, needs_space: bool, is_space: bool, is_indention: bool) {
        if needs_space && !self.whitespace {
            self.put(' ');
        }
        text.chars().for_each(|c| self.put(c));
        self.whitespace = is_space;
        self.indention = self.indention && is_indention;
    }

    fn write_indent(&mut self) {
        let indent = usize::try_from(self.indent).unwrap_or(0);
        if !self.indention || self.column > indent || (self.column == indent && !self.whitespace) {
            self.put_break();
        }
        while self.column < indent {
            self.put(' ');
        }
        self.whitespace = true;
        self.indention = true;
    }

    fn put(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    fn put_foreign_break(&mut self, c: char) {
        self.out.push(c);
        self.column = 0;
        self.indention = true;
    }

    fn put_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

impl Style {
    fn of_text(text: &str, context: Context) -> Style {
        let key = context == Context::SimpleKey;
        let allowed = Allowed::of(text);
        let wanted = if text.contains('\n') {
            Style::Literal
        } else if resolve::is_text(text) && !(key && text == "<<") {
            // A key `<<` would merge when it is read back; kubectl overlooks that.
            Style::Plain
        } else {
            Style::Double
        };
        match wanted {
            Style::Literal if allowed.literal && !key => Style::Literal,
            Style::Plain if allowed.plain => Style::Plain,
            Style::Plain if allowed.single => Style::Single,
            _ => Style::Double,
        }
    }
}

/// The styles in which a text would be read back as it is.
struct Allowed {
    plain: bool,
    single: bool,
    literal: bool,
}

impl Allowed {
    fn of(text: &str) -> Allowed {
        let chars: Vec<char> = text.chars().collect();
        let blank = |at: usize| chars.get(at).is_none_or(|c| matches!(c, ' ' | '\t'));
        let mut indicator = text.starts_with("---") || text.starts_with("...");
        let (mut special, mut breaks, mut break_space, mut space_break) = (false, false, false, false);
        for (at, &c) in chars.iter().enumerate() {
            let before = at.checked_sub(1).map(|i| chars[i]);
            let next_blank = blank(at + 1);
            indicator |= match (before, c) {
                (None, '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"') => true,
                (None, '%' | '@' | '`') => true,
                (None, '?' | '-') | (_, ':') => next_blank,
                (Some(before), '#') => matches!(before, ' ' | '\t') || is_break(before),
                _ => false,
            };
            special |= !is_printable(c);
            breaks |= is_break(c);
            break_space |= c == ' ' && before.is_some_and(is_break);
            space_break |= is_break(c) && before == Some(' ');
        }
        let edge = |c: Option<&char>| c.is_some_and(|c| *c == ' ' || is_break(*c));
        let edges = edge(chars.first()) || edge(chars.last());
        let clean = !space_break && !special;
        Allowed {
            plain: clean && !break_space && !breaks && !edges && !indicator,
            single: clean && !break_space,
            literal: clean && !text.is_empty() && chars.last() != Some(&' '),
        }
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What kubectl's writer takes for printable; beyond 16 bits that is nothing.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

fn number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => resolve::go_general(&format!("{float:e}"), || format!("{float}")),
        _ => number.to_string(),
    }
}

/// `item2` before `item10`, and letters after everything else.
fn natural_order(a: &str, b: &str) -> Ordering {
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphabetic());
    if plain(a) && plain(b) {
        return a.cmp(b);
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = a.iter().zip(&b).position(|(x, y)| x != y) else { return a.len().cmp(&b.len()) };
    match (a[at].is_alphabetic(), b[at].is_alphabetic()) {
        (true, true) => return a[at].cmp(&b[at]),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let digits =
        |from: usize, chars: &[char]| chars[from..].iter().take_while(|c| c.is_ascii_digit()).count();
    // A zero counts only behind another digit of the same number.
    let inside = (a[at] == '0' || b[at] == '0')
        && a[..at].iter().rev().take_while(|c| c.is_ascii_digit()).any(|c| *c != '0');
    let number = |chars: &[char]| {
        chars[at..at + digits(at, chars)].iter().fold(i64::from(inside), |sum, c| {
            sum.wrapping_mul(10).wrapping_add(i64::from(c.to_digit(10).unwrap_or(0)))
        })
    };
    number(&a)
        .cmp(&number(&b))
        .then_with(|| digits(at, &a).cmp(&digits(at, &b)))
        .then_with(|| a[at].cmp(&b[at]))
}
#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn it_looks_like_kubectl() {
        let value = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "a", "labels": {}, "finalizers": [], "annotations": {"on": "yes", "t": "12:30"}},
            "data": {"item10": "x: y", "item2": "a\nb\n", "empty": "", "day": "2024-01-01", "tab": "a\tb\n"},
            "list": [1, 2.5, 1e30, null, {"a": true, "b": ["c", ["d"]]}],
        });
        let expected = "apiVersion: v1
data:
  day: \"2024-01-01\"
  empty: \"\"
  item2: |
    a
    b
  item10: 'x: y'
  tab: \"a\\tb\\n\"
kind: ConfigMap
list:
- 1
- 2.5
- 1e+30
- null
- a: true
  b:
  - c
  - - d
metadata:
  annotations:
    \"on\": \"yes\"
    t: \"12:30\"
  finalizers: []
  labels: {}
  name: a
";
        assert_eq!(write(&value), expected);
    }

    #[test]
    fn long_lines_are_folded_and_long_keys_are_marked() {
        let text = "word ".repeat(20).trim_end().to_owned();
        let key = "k".repeat(130);
        let written = write(&json!({ "a": text, key.as_str(): [1] }));
        let folded = format!("a: {}\n  word word word word\n", "word ".repeat(16).trim_end());
        assert_eq!(written, format!("{folded}? {key}\n: - 1\n"));
    }

    /// Texts made of what makes YAML hard.
    fn text() -> impl Strategy<Value = String> {
        const PARTS: [&str; 44] = [
            "a",
            "foo",
            " ",
            "  ",
            "\n",
            "\n\n",
            ":",
            ": ",
            " #",
            "#",
            "-",
            "- ",
            "?",
            "? ",
            "'",
            "\"",
            "\\",
            "\t",
            "é",
            "😀",
            "\u{2028}",
            "\u{85}",
            "\u{a0}",
            "\u{feff}",
            "\r",
            "\u{1}",
            "\u{7f}",
            "yes",
            "1",
            "012",
            "0x1f",
            "12:30",
            "2024-01-01",
            "~",
            "null",
            "{",
            "]",
            ",",
            "&x",
            "*x",
            "!",
            "|",
            "<<",
            "---",
        ];
        let parts = prop::sample::select(PARTS.to_vec());
        prop_oneof![
            prop::collection::vec(parts, 0..8).prop_map(|parts| parts.concat()),
            prop::collection::vec("[a-z]{1,12}", 0..30).prop_map(|words| words.join(" ")),
            any::<String>(),
        ]
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            4 => text().prop_map(Value::String),
            1 => Just(Value::Null),
            1 => any::<bool>().prop_map(Value::Bool),
            1 => any::<i64>().prop_map(Value::from),
            1 => any::<f64>().prop_filter("integers come back as integers", |f| f.fract() != 0.0).prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                prop::collection::vec((text(), inner), 0..5)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]

        #[test]
        fn what_is_written_is_read_back(value in value()) {
            let written = write(&value);
            prop_assert_eq!(super::super::parse(&written, true), Ok(value), "{}", written);
        }
    }
}

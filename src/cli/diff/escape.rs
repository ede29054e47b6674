//! Text of objects and policies as Markdown that means nothing but itself.
//!
//! What a repository says is written by those whose change is under review: it must not be able to make links or
//! headings, end a table, hide behind a comment, call people (`@name`) or point at issues (`#1`).

use std::fmt::Write as _;

/// Invisible, and enough to keep a forge from seeing a mention, an issue or an address.
const BREAK: char = '\u{200b}';

/// A code span that its text cannot end, nor a table cell around it.
pub fn code(text: &str) -> String {
    let text = visible(text).replace('`', "'").replace('|', "\\|");
    let text = text.trim();
    if text.is_empty() { "(empty)".to_owned() } else { format!("`{text}`") }
}

/// Plain text in a paragraph, a list or a table cell.
pub fn text(text: &str) -> String {
    let text = visible(text);
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let rest = &text[at + c.len_utf8()..];
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' if rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '#') => out.push_str("&amp;"),
            '\\' | '`' | '*' | '[' | ']' | '|' | '~' | '$' => {
                out.push('\\');
                out.push(c);
            }
            // Within a word it means nothing.
            '_' if !(before.is_alphanumeric() && rest.starts_with(char::is_alphanumeric)) => {
                out.push_str("\\_")
            }
            '@' | '#' | '!' | '%' => {
                out.push(c);
                if rest.starts_with(char::is_alphanumeric) {
                    out.push(BREAK);
                }
            }
            ':' if rest.starts_with("//") => {
                out.push(c);
                out.push(BREAK);
            }
            '.' if out.to_ascii_lowercase().ends_with("www") => {
                out.push(c);
                out.push(BREAK);
            }
            _ => out.push(c),
        }
        before = c;
    }
    out
}

/// Text between tags of HTML.
pub fn html(text: &str) -> String {
    visible(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// On one line, and nothing in it that is not seen: what turns the direction of writing or hides could make a change
/// look like another one.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            c if is_hidden(c) => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// The same for the lines of a code block, which stay lines.
pub fn visible_lines(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| match line.strip_suffix('\n') {
            Some(line) => visible(line) + "\n",
            None => visible(line),
        })
        .collect()
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_means_anything() {
        for (written, escaped) in [
            ("plain words, a-b 1.34.2: (fine)", "plain words, a-b 1.34.2: (fine)"),
            ("<!-- --> <script>", "&lt;!-- --&gt; &lt;script&gt;"),
            ("[x](https://evil)", "\\[x\\](https:\u{200b}//evil)"),
            ("![x](y)", "!\\[x\\](y)"),
            ("@everyone #12 !7", "@\u{200b}everyone #\u{200b}12 !\u{200b}7"),
            ("a|b\n# c", "a\\|b # c"),
            ("`x` **b** _i_ snake_case", "\\`x\\` \\*\\*b\\*\\* \\_i\\_ snake_case"),
            ("&lt; R&D & co", "&amp;lt; R&amp;D & co"),
            ("www.evil.example", "www.\u{200b}evil.example"),
            ("safe\u{202e}live", "safe\\\\u{202e}live"),
        ] {
            assert_eq!(text(written), escaped);
        }
    }

    #[test]
    fn nothing_ends_a_code_span() {
        assert_eq!(code("a`b|c\nd"), "`a'b\\|c d`");
        assert_eq!(code("``"), "`''`");
        assert_eq!(code(" \n"), "(empty)");
        assert_eq!(code("x\u{202e}y"), "`x\\u{202e}y`");
        assert_eq!(html("</summary>&"), "&lt;/summary&gt;&amp;");
        assert_eq!(visible_lines("a\tb\nc\u{7}\n"), "a b\nc\\u{7}\n");
    }
}

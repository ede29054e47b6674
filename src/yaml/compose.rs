//! Tokens to a tree of nodes, each with its place.

use rustc_hash::FxHashMap;

use super::error::{YamlError, check_characters};
use super::scanner::{Mark, Scanner, Token, TokenKind};

/// Index of a node in its [`Tree`].
pub(super) type NodeId = usize;

/// A node and its place.
#[derive(Debug)]
pub(super) struct Node {
    pub kind: NodeKind,
    pub mark: Mark,
}

#[derive(Debug)]
pub(super) enum NodeKind {
    /// `plain` scalars without a tag say by their text what they are.
    Scalar {
        value: String,
        tag: Option<String>,
        plain: bool,
    },
    Sequence(Vec<NodeId>),
    Mapping(Vec<(NodeId, NodeId)>),
    Alias(NodeId),
}

/// The nodes of one document. Aliases point at nodes, so that nothing is copied until it is decoded.
#[derive(Debug)]
pub(super) struct Tree {
    pub nodes: Vec<Node>,
    pub root: NodeId,
    /// Where something stands behind the end of the document that no `---` divides from it.
    pub rest: Option<Mark>,
}

/// The deepest nesting of lists and mappings.
pub(super) const DEEPEST: usize = 256;
/// The most bytes in a document.
pub(super) const LONGEST: usize = 8 << 20;

impl Tree {
    /// The first document of the text; `None` if there is none.
    pub(super) fn of(text: &str) -> Result<Option<Tree>, YamlError> {
        if text.len() > LONGEST {
            let message = format!("the document has more than {} MiB", LONGEST >> 20);
            return Err(YamlError::too_complex(Mark::default(), message));
        }
        // Only at the very beginning is it a mark, which may stand twice; anywhere else it is text.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        check_characters(text)?;
        Composer::new(text).document()
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }
}

struct Composer<'a> {
    scanner: Scanner<'a>,
    nodes: Vec<Node>,
    anchors: FxHashMap<String, NodeId>,
    tag_prefixes: Vec<(String, String)>,
    depth: usize,
}

impl<'a> Composer<'a> {
    fn new(text: &'a str) -> Composer<'a> {
        Composer {
            scanner: Scanner::new(text),
            nodes: Vec::new(),
            anchors: FxHashMap::default(),
            tag_prefixes: Vec::new(),
            depth: 0,
        }
    }

    fn document(mut self) -> Result<Option<Tree>, YamlError> {
        if self.peek()?.kind == TokenKind::StreamEnd {
            return Ok(None);
        }
        let explicit = matches!(
            self.peek()?.kind,
            TokenKind::Version { .. } | TokenKind::TagDirective { .. } | TokenKind::DocumentStart
        );
        if explicit {
            self.directives()?;
            let start = self.take()?;
            if start.kind != TokenKind::DocumentStart {
                return Err(YamlError::syntax(start.start, "a '---' is expected before the document"));
            }
        }
        for (handle, prefix) in [("!", "!"), ("!!", "tag:yaml.org,2002:")] {
            if !self.tag_prefixes.iter().any(|(known, _)| known == handle) {
                self.tag_prefixes.push((handle.to_owned(), prefix.to_owned()));
            }
        }
        let token = self.peek()?;
        let (kind, start) = (token.kind.clone(), token.start);
        let root = match kind {
            TokenKind::Version { .. }
            | TokenKind::TagDirective { .. }
            | TokenKind::DocumentStart
            | TokenKind::DocumentEnd
            | TokenKind::StreamEnd
                if explicit =>
            {
                self.empty(start)
            }
            _ => self.node(true, false)?,
        };
        let after = self.peek()?;
        let rest = match after.kind {
            TokenKind::StreamEnd | TokenKind::DocumentEnd | TokenKind::DocumentStart => None,
            _ => Some(after.start),
        };
        Ok(Some(Tree { nodes: self.nodes, root, rest }))
    }

    fn directives(&mut self) -> Result<(), YamlError> {
        let mut has_version = false;
        loop {
            let token = self.peek()?;
            let mark = token.start;
            match &token.kind {
                TokenKind::Version { .. } if has_version => {
                    return Err(YamlError::syntax(mark, "two %YAML directives"));
                }
                TokenKind::Version { major: 1, minor: 1 } => has_version = true,
                TokenKind::Version { .. } => {
                    return Err(YamlError::syntax(
                        mark,
                        "Kubernetes reads YAML 1.1, and this document is not",
                    ));
                }
                TokenKind::TagDirective { handle, prefix } => {
                    let entry = (handle.clone(), prefix.clone());
                    if self.tag_prefixes.iter().any(|(known, _)| *known == entry.0) {
                        return Err(YamlError::syntax(mark, "two %TAG directives for one handle"));
                    }
                    self.tag_prefixes.push(entry);
                }
                _ => return Ok(()),
            }
            self.take()?;
        }
    }

    fn peek(&mut self) -> Result<&Token, YamlError> {
        self.scanner.peek()
    }

    fn take(&mut self) -> Result<Token, YamlError> {
        self.scanner.take()
    }

    fn next_is(&mut self, kind: &TokenKind) -> Result<bool, YamlError> {
        Ok(self.peek()?.kind == *kind)
    }

    fn next_is_any(&mut self, kinds: &[TokenKind]) -> Result<bool, YamlError> {
        let next = &self.peek()?.kind;
        Ok(kinds.contains(next))
    }

    fn add(&mut self, kind: NodeKind, mark: Mark) -> NodeId {
        self.nodes.push(Node { kind, mark });
        self.nodes.len() - 1
    }

    /// A node that is left out: null.
    fn empty(&mut self, mark: Mark) -> NodeId {
        self.add(NodeKind::Scalar { value: String::new(), tag: None, plain: true }, mark)
    }

    /// A node with its anchor and tag. `block`: block collections may follow; `indentless`: a list at the
    /// indentation of its key.
    fn node(&mut self, block: bool, indentless: bool) -> Result<NodeId, YamlError> {
        if let TokenKind::Alias(_) = self.peek()?.kind {
            return self.alias();
        }
        let start = self.peek()?.start;
        let (anchor, tag) = self.properties()?;
        let token = self.peek()?;
        if let TokenKind::Scalar { .. } = token.kind {
            return self.scalar(start, anchor, tag);
        }
        let next = token.start;
        type Rule<'a> = fn(&mut Composer<'a>, NodeId) -> Result<(), YamlError>;
        let rule: Rule<'a> = match token.kind {
            TokenKind::BlockEntry if indentless => Composer::indentless_sequence,
            TokenKind::FlowSequenceStart => Composer::flow_sequence,
            TokenKind::FlowMappingStart => Composer::flow_mapping,
            TokenKind::BlockSequenceStart if block => Composer::block_sequence,
            TokenKind::BlockMappingStart if block => Composer::block_mapping,
            _ if anchor.is_some() || tag.is_some() => {
                let plain = tag.is_none();
                let id = self.add(NodeKind::Scalar { value: String::new(), tag, plain }, start);
                self.name(anchor, id);
                return Ok(id);
            }
            _ => return Err(YamlError::syntax(next, "a value is expected here")),
        };
        // The rule finds its node, already named, and fills it in: an alias inside may point at it.
        let id = self.add(NodeKind::Sequence(Vec::new()), start);
        self.name(anchor, id);
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(YamlError::too_complex(next, format!("nesting is deeper than {DEEPEST}")));
        }
        rule(self, id)?;
        self.depth -= 1;
        Ok(id)
    }

    fn name(&mut self, anchor: Option<String>, id: NodeId) {
        if let Some(name) = anchor {
            self.anchors.insert(name, id);
        }
    }

    fn alias(&mut self) -> Result<NodeId, YamlError> {
        let token = self.take()?;
        let TokenKind::Alias(name) = token.kind else {
            return Err(YamlError::syntax(token.start, "an alias is expected here"));
        };
        match self.anchors.get(&name) {
            Some(&target) => Ok(self.add(NodeKind::Alias(target), token.start)),
            None => {
                Err(YamlError::syntax(token.start, format!("no anchor &{name} stands before this alias")))
            }
        }
    }

    fn properties(&mut self) -> Result<(Option<String>, Option<String>), YamlError> {
        let (mut anchor, mut tag) = (None, None);
        loop {
            match &self.peek()?.kind {
                TokenKind::Anchor(_) if anchor.is_none() => {
                    if let TokenKind::Anchor(name) = self.take()?.kind {
                        anchor = Some(name);
                    }
                }
                TokenKind::Tag { .. } if tag.is_none() => {
                    let token = self.take()?;
                    if let TokenKind::Tag { handle, suffix } = token.kind {
                        tag = Some(self.resolve_tag(&handle, suffix, token.start)?);
                    }
                }
                _ => return Ok((anchor, tag)),
            }
        }
    }

    fn resolve_tag(&self, handle: &str, suffix: String, mark: Mark) -> Result<String, YamlError> {
        if handle.is_empty() {
            return Ok(suffix);
        }
        let prefix = self.tag_prefixes.iter().find(|(known, _)| known == handle);
        let (_, prefix) =
            prefix.ok_or_else(|| YamlError::syntax(mark, format!("unknown tag handle {handle}")))?;
        Ok(format!("{prefix}{suffix}"))
    }

    fn scalar(
        &mut self,
        mark: Mark,
        anchor: Option<String>,
        tag: Option<String>,
    ) -> Result<NodeId, YamlError> {
        let token = self.take()?;
        let TokenKind::Scalar { value, plain } = token.kind else {
            return Err(YamlError::syntax(token.start, "a scalar is expected here"));
        };
        // The tag `!` says "whatever it looks like", quoted or not.
        let any = tag.as_deref() == Some("!");
        let plain = any || (tag.is_none() && plain);
        let id = self.add(NodeKind::Scalar { value, tag, plain }, mark);
        self.name(anchor, id);
        Ok(id)
    }

    fn block_sequence(&mut self, id: NodeId) -> Result<(), YamlError> {
        let start = self.take()?.start;
        let mut items = Vec::new();
        while self.next_is(&TokenKind::BlockEntry)? {
            let mark = self.take()?.end;
            let absent = self.next_is_any(&[TokenKind::BlockEntry, TokenKind::BlockEnd])?;
            items.push(if absent { self.empty(mark) } else { self.node(true, false)? });
        }
        let end = self.take()?;
        if end.kind != TokenKind::BlockEnd {
            let message = format!("a '-' of the list in line {} is expected here", start.line + 1);
            return Err(YamlError::syntax(end.start, message));
        }
        self.nodes[id].kind = NodeKind::Sequence(items);
        Ok(())
    }

    fn indentless_sequence(&mut self, id: NodeId) -> Result<(), YamlError> {
        let mut items = Vec::new();
        while self.next_is(&TokenKind::BlockEntry)? {
            let mark = self.take()?.end;
            let absent = self.next_is_any(&[
                TokenKind::BlockEntry,
                TokenKind::Key,
                TokenKind::Value,
                TokenKind::BlockEnd,
            ])?;
            items.push(if absent { self.empty(mark) } else { self.node(true, false)? });
        }
        self.nodes[id].kind = NodeKind::Sequence(items);
        Ok(())
    }

    fn block_mapping(&mut self, id: NodeId) -> Result<(), YamlError> {
        const ABSENT: [TokenKind; 3] = [TokenKind::Key, TokenKind::Value, TokenKind::BlockEnd];
        let start = self.take()?.start;
        let mut entries = Vec::new();
        while self.next_is(&TokenKind::Key)? {
            let mark = self.take()?.end;
            let absent = self.next_is_any(&ABSENT)?;
            let key = if absent { self.empty(mark) } else { self.node(true, true)? };
            let value = if self.next_is(&TokenKind::Value)? {
                let mark = self.take()?.end;
                let absent = self.next_is_any(&ABSENT)?;
                if absent { self.empty(mark) } else { self.node(true, true)? }
            } else {
                let mark = self.peek()?.start;
                self.empty(mark)
            };
            entries.push((key, value));
        }
        let end = self.take()?;
        if end.kind != TokenKind::BlockEnd {
            let message = format!("a key of the mapping in line {} is expected here", start.line + 1);
            return Err(YamlError::syntax(end.start, message));
        }
        self.nodes[id].kind = NodeKind::Mapping(entries);
        Ok(())
    }

    fn flow_sequence(&mut self, id: NodeId) -> Result<(), YamlError> {
        let start = self.take()?.start;
        let mut items = Vec::new();
        while !self.next_is(&TokenKind::FlowSequenceEnd)? {
            if !items.is_empty() {
                self.flow_comma("[", start)?;
                if self.next_is(&TokenKind::FlowSequenceEnd)? {
                    break;
                }
            }
            let item = if self.next_is(&TokenKind::Key)? { self.pair()? } else { self.node(false, false)? };
            items.push(item);
        }
        self.take()?;
        self.nodes[id].kind = NodeKind::Sequence(items);
        Ok(())
    }

    /// `[a: b]`: a mapping of one entry.
    fn pair(&mut self) -> Result<NodeId, YamlError> {
        let mark = self.take()?.start;
        let absent =
            self.next_is_any(&[TokenKind::Value, TokenKind::FlowEntry, TokenKind::FlowSequenceEnd])?;
        let key = if absent {
            let mark = self.take()?.end;
            self.empty(mark)
        } else {
            self.node(false, false)?
        };
        let value = self.flow_value(&TokenKind::FlowSequenceEnd)?;
        Ok(self.add(NodeKind::Mapping(vec![(key, value)]), mark))
    }

    fn flow_value(&mut self, close: &TokenKind) -> Result<NodeId, YamlError> {
        if self.next_is(&TokenKind::Value)? {
            self.take()?;
            if !self.next_is(&TokenKind::FlowEntry)? && !self.next_is(close)? {
                return self.node(false, false);
            }
        }
        let mark = self.peek()?.start;
        Ok(self.empty(mark))
    }

    fn flow_mapping(&mut self, id: NodeId) -> Result<(), YamlError> {
        let start = self.take()?.start;
        let mut entries = Vec::new();
        while !self.next_is(&TokenKind::FlowMappingEnd)? {
            if !entries.is_empty() {
                self.flow_comma("{", start)?;
                if self.next_is(&TokenKind::FlowMappingEnd)? {
                    break;
                }
            }
            entries.push(self.flow_entry()?);
        }
        self.take()?;
        self.nodes[id].kind = NodeKind::Mapping(entries);
        Ok(())
    }

    fn flow_entry(&mut self) -> Result<(NodeId, NodeId), YamlError> {
        if !self.next_is(&TokenKind::Key)? {
            let key = self.node(false, false)?;
            let mark = self.peek()?.start;
            return Ok((key, self.empty(mark)));
        }
        self.take()?;
        let absent =
            self.next_is_any(&[TokenKind::Value, TokenKind::FlowEntry, TokenKind::FlowMappingEnd])?;
        let key = if absent {
            let mark = self.peek()?.start;
            self.empty(mark)
        } else {
            self.node(false, false)?
        };
        Ok((key, self.flow_value(&TokenKind::FlowMappingEnd)?))
    }

    fn flow_comma(&mut self, open: &str, start: Mark) -> Result<(), YamlError> {
        let token = self.take()?;
        if token.kind == TokenKind::FlowEntry {
            return Ok(());
        }
        let message = format!("a ',' or the end of the '{open}' in line {} is expected here", start.line + 1);
        Err(YamlError::syntax(token.start, message))
    }
}

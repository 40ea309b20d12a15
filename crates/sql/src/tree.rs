//! The parser's tree, flat: every message of it in the order in which it stands, whatever its kind.
//!
//! The tree is made by walking the parser's messages through their own description (`serde`), so that no field and no
//! kind of node can be left out by a walker that forgot it: a reader of the tree goes over all of it, and
//! what it does not know it sees, and says so.

use serde::ser::{self, Serialize, SerializeSeq, SerializeStruct, Serializer};

use crate::limits::NODES_LIMIT;
use crate::parse::Unread;

/// The kind of a node that the parser left empty.
pub(crate) const EMPTY: &str = "(empty)";

/// All nodes of a text.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    attributes: Vec<Attribute>,
    strings: String,
}

#[derive(Debug)]
struct Node {
    kind: &'static str,
    /// The field of its parent in which it stands.
    field: &'static str,
    parent: Option<usize>,
    /// The first node that is not below this one.
    end: usize,
    /// The first of its attributes.
    attributes: usize,
}

/// A field that holds no node, where it is not the default: false, zero or empty.
#[derive(Debug)]
struct Attribute {
    node: usize,
    name: &'static str,
    value: Value,
}

#[derive(Debug, Clone, Copy)]
enum Value {
    Flag,
    Number(i64),
    Text(usize, usize),
}

impl Tree {
    /// Adds a message and all below it; says where its root stands.
    pub(crate) fn add(&mut self, message: &impl Serialize) -> Result<usize, Unread> {
        let root = self.nodes.len();
        let walker = &mut Walker { tree: self, open: None, field: "", in_wrapper: false };
        match message.serialize(walker) {
            Ok(()) => Ok(root),
            Err(Stopped::TooMany) => Err(Unread::TooMany),
            Err(Stopped::Odd(what)) => Err(Unread::Parser(format!("its tree has {what}"))),
        }
    }

    /// Orders the attributes; before this, none are found.
    pub(crate) fn close(&mut self) {
        self.attributes.sort_by_key(|attribute| attribute.node);
        let mut at = 0;
        for (index, node) in self.nodes.iter_mut().enumerate() {
            while self.attributes.get(at).is_some_and(|attribute| attribute.node < index) {
                at += 1;
            }
            node.attributes = at;
        }
    }

    pub(crate) fn at(&self, index: usize) -> At<'_> {
        At { tree: self, index }
    }

    pub(crate) fn weight(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
            + self.attributes.capacity() * size_of::<Attribute>()
            + self.strings.capacity()
    }
}

/// A node of a tree. A node outside of it has no kind and no children.
#[derive(Clone, Copy)]
pub(crate) struct At<'t> {
    tree: &'t Tree,
    index: usize,
}

impl<'t> At<'t> {
    fn node(self) -> Option<&'t Node> {
        self.tree.nodes.get(self.index)
    }

    pub(crate) fn index(self) -> usize {
        self.index
    }

    pub(crate) fn kind(self) -> &'static str {
        self.node().map_or(EMPTY, |node| node.kind)
    }

    /// The field of its parent in which it stands.
    pub(crate) fn field(self) -> &'static str {
        self.node().map_or("", |node| node.field)
    }

    pub(crate) fn parent(self) -> Option<At<'t>> {
        Some(self.tree.at(self.node()?.parent?))
    }

    /// Its parent, that one's parent, and so on.
    pub(crate) fn ancestors(self) -> impl Iterator<Item = At<'t>> {
        std::iter::successors(self.parent(), |at| at.parent())
    }

    fn end(self) -> usize {
        self.node().map_or(self.index, |node| node.end)
    }

    /// Itself and all below it, in the order of the tree.
    pub(crate) fn all(self) -> impl Iterator<Item = At<'t>> {
        (self.index..self.end()).map(move |index| self.tree.at(index))
    }

    pub(crate) fn children(self) -> impl Iterator<Item = At<'t>> {
        let first = self.index + 1;
        std::iter::successors((first < self.end()).then(|| self.tree.at(first)), move |at| {
            (at.end() < self.end()).then(|| self.tree.at(at.end()))
        })
    }

    /// What stands in one of its fields.
    pub(crate) fn list(self, field: &'static str) -> impl Iterator<Item = At<'t>> {
        self.children().filter(move |at| at.field() == field)
    }

    pub(crate) fn child(self, field: &'static str) -> Option<At<'t>> {
        self.list(field).next()
    }

    fn value(self, name: &str) -> Option<Value> {
        let first = self.node()?.attributes;
        let own = self.tree.attributes.get(first..)?.iter().take_while(|one| one.node == self.index);
        own.into_iter().find(|one| one.name == name).map(|one| one.value)
    }

    pub(crate) fn flag(self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Flag))
    }

    pub(crate) fn number(self, name: &str) -> i64 {
        match self.value(name) {
            Some(Value::Number(number)) => number,
            Some(Value::Flag | Value::Text(..)) | None => 0,
        }
    }

    pub(crate) fn text(self, name: &str) -> &'t str {
        match self.value(name) {
            Some(Value::Text(start, end)) => self.tree.strings.get(start..end).unwrap_or_default(),
            Some(Value::Flag | Value::Number(_)) | None => "",
        }
    }

    /// The words of a list of strings, such as a qualified name; other nodes of the list are left out.
    pub(crate) fn words(self, field: &'static str) -> Vec<&'t str> {
        self.list(field).filter(|at| at.kind() == "String").map(|at| at.text("sval")).collect()
    }
}

struct Walker<'t> {
    tree: &'t mut Tree,
    open: Option<usize>,
    field: &'static str,
    /// Within a `Node`, which only says which kind follows.
    in_wrapper: bool,
}

impl Walker<'_> {
    fn push(&mut self, kind: &'static str) -> Result<usize, Stopped> {
        let index = self.tree.nodes.len();
        if index >= NODES_LIMIT {
            return Err(Stopped::TooMany);
        }
        self.in_wrapper = false;
        self.tree.nodes.push(Node {
            kind,
            field: self.field,
            parent: self.open,
            end: index + 1,
            attributes: 0,
        });
        Ok(index)
    }

    fn attribute(&mut self, value: Value) -> Result<(), Stopped> {
        let node = self.open.ok_or_else(|| Stopped::Odd("a value without a node".to_owned()))?;
        self.tree.attributes.push(Attribute { node, name: self.field, value });
        Ok(())
    }

    fn number(&mut self, number: i64) -> Result<(), Stopped> {
        if number == 0 { Ok(()) } else { self.attribute(Value::Number(number)) }
    }
}

/// Why a walk ended early.
#[derive(Debug)]
enum Stopped {
    TooMany,
    Odd(String),
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Stopped {}

impl ser::Error for Stopped {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Odd(message.to_string())
    }
}

fn odd<T>(what: &str) -> Result<T, Stopped> {
    Err(Stopped::Odd(what.to_owned()))
}

struct Fields<'w, 't> {
    walker: &'w mut Walker<'t>,
    outer: Option<usize>,
    /// The node that these fields are of, or the field in which a wrapper stands.
    of: Result<usize, &'static str>,
}

impl SerializeStruct for Fields<'_, '_> {
    type Ok = ();
    type Error = Stopped;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Stopped> {
        match self.of {
            Ok(node) => {
                self.walker.open = Some(node);
                self.walker.field = key;
            }
            Err(field) => {
                self.walker.field = field;
                self.walker.in_wrapper = true;
            }
        }
        value.serialize(&mut *self.walker)
    }

    fn end(self) -> Result<(), Stopped> {
        let end = self.walker.tree.nodes.len();
        if let Some(node) = self.of.ok().and_then(|node| self.walker.tree.nodes.get_mut(node)) {
            node.end = end;
        }
        self.walker.open = self.outer;
        Ok(())
    }
}

struct Items<'w, 't> {
    walker: &'w mut Walker<'t>,
    open: Option<usize>,
    field: &'static str,
}

impl SerializeSeq for Items<'_, '_> {
    type Ok = ();
    type Error = Stopped;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stopped> {
        self.walker.open = self.open;
        self.walker.field = self.field;
        value.serialize(&mut *self.walker)
    }

    fn end(self) -> Result<(), Stopped> {
        Ok(())
    }
}

impl<'w, 't> Serializer for &'w mut Walker<'t> {
    type Ok = ();
    type Error = Stopped;
    type SerializeSeq = Items<'w, 't>;
    type SerializeStruct = Fields<'w, 't>;
    type SerializeTuple = ser::Impossible<(), Stopped>;
    type SerializeTupleStruct = ser::Impossible<(), Stopped>;
    type SerializeTupleVariant = ser::Impossible<(), Stopped>;
    type SerializeMap = ser::Impossible<(), Stopped>;
    type SerializeStructVariant = ser::Impossible<(), Stopped>;

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Fields<'w, 't>, Stopped> {
        let outer = self.open;
        let of = if name == "Node" { Err(self.field) } else { Ok(self.push(name)?) };
        Ok(Fields { walker: self, outer, of })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Stopped> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'w, 't>, Stopped> {
        let (open, field) = (self.open, self.field);
        Ok(Items { walker: self, open, field })
    }

    fn serialize_none(self) -> Result<(), Stopped> {
        if self.in_wrapper { self.push(EMPTY).map(drop) } else { Ok(()) }
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Stopped> {
        value.serialize(self)
    }

    fn serialize_str(self, text: &str) -> Result<(), Stopped> {
        if text.is_empty() {
            return Ok(());
        }
        let start = self.tree.strings.len();
        self.tree.strings.push_str(text);
        self.attribute(Value::Text(start, self.tree.strings.len()))
    }

    fn serialize_bool(self, value: bool) -> Result<(), Stopped> {
        if value { self.attribute(Value::Flag) } else { Ok(()) }
    }

    fn serialize_i32(self, value: i32) -> Result<(), Stopped> {
        self.number(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Stopped> {
        self.number(value)
    }

    fn serialize_u32(self, value: u32) -> Result<(), Stopped> {
        self.number(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Stopped> {
        self.number(i64::try_from(value).unwrap_or(i64::MAX))
    }

    /// Costs and the like; no fact depends on them.
    fn serialize_f64(self, _: f64) -> Result<(), Stopped> {
        Ok(())
    }

    // The parser's messages have none of what follows. One that had would be a parser that we do not know.
    fn serialize_i8(self, _: i8) -> Result<(), Stopped> {
        odd("a byte")
    }
    fn serialize_i16(self, _: i16) -> Result<(), Stopped> {
        odd("a short")
    }
    fn serialize_u8(self, _: u8) -> Result<(), Stopped> {
        odd("a byte")
    }
    fn serialize_u16(self, _: u16) -> Result<(), Stopped> {
        odd("a short")
    }
    fn serialize_f32(self, _: f32) -> Result<(), Stopped> {
        odd("a float")
    }
    fn serialize_char(self, _: char) -> Result<(), Stopped> {
        odd("a character")
    }
    fn serialize_bytes(self, _: &[u8]) -> Result<(), Stopped> {
        odd("bytes")
    }
    fn serialize_unit(self) -> Result<(), Stopped> {
        odd("a unit")
    }
    fn serialize_unit_struct(self, name: &'static str) -> Result<(), Stopped> {
        // A message without fields, where the encoder made it one.
        self.push(name).map(drop)
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), Stopped> {
        odd("a unit variant")
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Result<(), Stopped> {
        odd("a wrapped value")
    }
    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Stopped> {
        odd("a tuple")
    }
    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, Stopped> {
        odd("a tuple")
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Stopped> {
        odd("a tuple")
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Stopped> {
        odd("a map")
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Stopped> {
        odd("a variant with fields")
    }
}

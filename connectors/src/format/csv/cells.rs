//! What the text of a field stands for.

use super::fields::Fields;
use crate::format::records::decode::{Content, Values};
use crate::format::values::Cause;

/// The fields of one block.
pub struct Cells<'a> {
    /// The block.
    pub data: &'a [u8],
    /// Its field borders.
    pub fields: &'a Fields,
    /// The quote character, if the block holds any.
    pub quote: Option<u8>,
    /// The unquoted text that is NULL.
    pub null_literal: Option<&'a [u8]>,
}

impl Values for Cells<'_> {
    const NUMBERS_HAVE_EXPONENTS: bool = false;

    #[inline(always)]
    fn as_written(&self, row: usize, value: usize) -> &[u8] {
        self.fields.field(self.data, row, value)
    }

    #[inline(always)]
    fn text<'v>(
        &'v self,
        row: usize,
        value: usize,
        content: Content,
        scratch: &'v mut Vec<u8>,
    ) -> Result<Option<&'v [u8]>, Cause> {
        let field = self.as_written(row, value);
        if let Some(quote) = self.quote
            && field.first() == Some(&quote)
        {
            return Ok(Some(unquote(field, quote, scratch)));
        }
        Ok(match self.null_literal {
            Some(null) if null == field => None,
            _ if field.is_empty() && content == Content::Plain => None,
            _ => Some(field),
        })
    }
}

/// The content of a quoted field.
fn unquote<'v>(field: &'v [u8], quote: u8, scratch: &'v mut Vec<u8>) -> &'v [u8] {
    let inner = &field[1..field.len() - 1];
    if memchr::memchr(quote, inner).is_none() {
        return inner;
    }
    scratch.clear();
    let mut rest = inner;
    while let Some(at) = memchr::memchr(quote, rest) {
        scratch.extend_from_slice(&rest[..=at]);
        rest = rest.get(at + 2..).unwrap_or(&[]);
    }
    scratch.extend_from_slice(rest);
    scratch
}

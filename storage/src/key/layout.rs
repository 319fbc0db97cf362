//! Whole keys of a shard's column family: rows and index entries, newest version first.

/// First byte of every row key. Other spaces of the column family belong to the shard's state machine.
pub const SPACE_ROW: u8 = b'r';
/// First byte of every index key.
pub const SPACE_INDEX: u8 = b'i';

/// Bytes of an inverted timestamp.
const TIMESTAMP_SIZE: usize = 8;
/// Bytes of the size of an index value.
const VALUE_SIZE_SIZE: usize = 2;
/// Space byte and relation OID.
const HEADER_SIZE: usize = 5;

/// A row key, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowKey<'a> {
    /// `pg_class.oid` of the table.
    pub table: u32,
    /// Encoded primary key.
    pub primary_key: &'a [u8],
    /// Commit timestamp of the version.
    pub timestamp: u64,
}

/// An index key, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexKey<'a> {
    /// `pg_class.oid` of the index.
    pub index: u32,
    /// Encoded index value.
    pub value: &'a [u8],
    /// Encoded primary key of the row.
    pub primary_key: &'a [u8],
    /// Commit timestamp of the version.
    pub timestamp: u64,
}

fn header(space: u8, relation: u32, capacity: usize) -> Vec<u8> {
    let mut key = Vec::with_capacity(HEADER_SIZE + capacity);
    key.push(space);
    key.extend_from_slice(&relation.to_be_bytes());
    key
}

/// Prefix of all rows of a table.
pub fn table_prefix(table: u32) -> Vec<u8> {
    header(SPACE_ROW, table, 0)
}

/// Prefix of all rows whose encoded primary key begins with these bytes.
pub fn row_prefix(table: u32, primary_key: &[u8]) -> Vec<u8> {
    let mut key = header(SPACE_ROW, table, primary_key.len() + TIMESTAMP_SIZE);
    key.extend_from_slice(primary_key);
    key
}

/// Prefix of all versions of one row.
pub fn row_versions_prefix(table: u32, primary_key: &[u8]) -> Vec<u8> {
    row_prefix(table, primary_key)
}

/// Key of the version of a row committed at a timestamp. Seeking to it finds the newest version not above it.
pub fn row_key(table: u32, primary_key: &[u8], timestamp: u64) -> Vec<u8> {
    let mut key = row_prefix(table, primary_key);
    key.extend_from_slice(&(!timestamp).to_be_bytes());
    key
}

/// Takes a row key apart; `None` if it is not one.
pub fn parse_row_key(key: &[u8]) -> Option<RowKey<'_>> {
    let (table, body) = parse_header(key, SPACE_ROW)?;
    let (primary_key, timestamp) = split_timestamp(body)?;
    Some(RowKey {
        table,
        primary_key,
        timestamp,
    })
}

/// Prefix of all entries of an index.
pub fn index_prefix(index: u32) -> Vec<u8> {
    header(SPACE_INDEX, index, 0)
}

/// Prefix of all entries whose encoded value begins with these bytes.
pub fn index_value_prefix(index: u32, value: &[u8]) -> Vec<u8> {
    let mut key = header(SPACE_INDEX, index, value.len());
    key.extend_from_slice(value);
    key
}

/// Key of the version of an index entry written at a timestamp.
///
/// # Panics
/// If the value is longer than [`super::KEY_BYTES_MAX`], which `encode_columns` does not produce.
pub fn index_key(index: u32, value: &[u8], primary_key: &[u8], timestamp: u64) -> Vec<u8> {
    assert!(
        value.len() <= super::KEY_BYTES_MAX,
        "index value of {} bytes",
        value.len()
    );
    let mut key = header(
        SPACE_INDEX,
        index,
        value.len() + primary_key.len() + VALUE_SIZE_SIZE + TIMESTAMP_SIZE,
    );
    key.extend_from_slice(value);
    key.extend_from_slice(primary_key);
    // The size tells where the value ends without knowing how many columns it has. It stands behind what it measures, so
    // that it does not disturb the order.
    key.extend_from_slice(&(value.len() as u16).to_be_bytes());
    key.extend_from_slice(&(!timestamp).to_be_bytes());
    key
}

/// Takes an index key apart; `None` if it is not one.
pub fn parse_index_key(key: &[u8]) -> Option<IndexKey<'_>> {
    let (index, body) = parse_header(key, SPACE_INDEX)?;
    let (body, timestamp) = split_timestamp(body)?;
    let (body, size) = body.split_last_chunk::<VALUE_SIZE_SIZE>()?;
    let (value, primary_key) = body.split_at_checked(usize::from(u16::from_be_bytes(*size)))?;
    Some(IndexKey {
        index,
        value,
        primary_key,
        timestamp,
    })
}

fn parse_header(key: &[u8], space: u8) -> Option<(u32, &[u8])> {
    let (header, body) = key.split_first_chunk::<HEADER_SIZE>()?;
    let [first, relation @ ..] = header;
    (*first == space).then(|| (u32::from_be_bytes(*relation), body))
}

fn split_timestamp(body: &[u8]) -> Option<(&[u8], u64)> {
    let (body, timestamp) = body.split_last_chunk::<TIMESTAMP_SIZE>()?;
    Some((body, !u64::from_be_bytes(*timestamp)))
}

/// First key beyond all keys with this prefix; `None` if there is none (the prefix is all 0xFF).
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xFF)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

//! Bytes that are filled, handed on and filled again.

/// Bytes that grow at their end. Room that was once made is kept and not cleared again, as whoever fills it says how much.
#[derive(Default)]
pub(super) struct Buffer {
    /// All room; what is beyond `filled` means nothing.
    room: Vec<u8>,
    filled: usize,
}

impl Buffer {
    /// The bytes that are there.
    pub fn bytes(&self) -> &[u8] {
        &self.room[..self.filled]
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.filled
    }

    /// How many bytes of memory it takes.
    pub fn memory(&self) -> usize {
        self.room.len()
    }

    /// Room for `most` more bytes; [`Buffer::add`] says how many of them were filled.
    pub fn room(&mut self, most: usize) -> &mut [u8] {
        let end = self.filled + most;
        if self.room.len() < end {
            self.room.resize(end, 0);
        }
        &mut self.room[self.filled..end]
    }

    /// The first `count` bytes of the room are filled.
    pub fn add(&mut self, count: usize) {
        self.filled += count;
    }

    /// Appends bytes.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).copy_from_slice(bytes);
        self.add(bytes.len());
    }

    /// Forgets the bytes and keeps the room.
    pub fn clear(&mut self) {
        self.filled = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_follow_each_other_and_room_is_used_again() {
        let mut buffer = Buffer::default();
        buffer.extend(b"abc");
        buffer.room(10)[..2].copy_from_slice(b"de");
        buffer.add(2);
        assert_eq!((buffer.bytes(), buffer.len()), (&b"abcde"[..], 5));
        buffer.clear();
        buffer.extend(b"f");
        assert_eq!(buffer.bytes(), b"f");
    }
}

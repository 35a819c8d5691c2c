//! The image: the content of pages and files, in a `memfd` that is sealed when it is complete.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, SealFlags};

use crate::error::{At, Failure, Step};
use crate::snapshot::Trouble;
use crate::snapshot::description::Content;
use crate::snapshot::maps::{self, PAGE, Run};

/// The most bytes that an image may have.
const LIMIT: u64 = 2 << 30;
/// Bytes that are read at a time.
const PIECE: usize = 256 * 1024;

/// An image that grows.
pub(super) struct Image {
    file: File,
    end: u64,
    buffer: Vec<u8>,
}

impl Image {
    pub(super) fn new() -> Result<Self, Failure> {
        Ok(Self { file: memory_file()?, end: 0, buffer: vec![0; PIECE] })
    }

    pub(super) fn size(&self) -> u64 {
        self.end
    }

    /// Adds the pages of a run that are not zero; answers them. What cannot be read is behind the end of a file.
    pub(super) fn add_pages(&mut self, memory: &File, run: Run) -> Result<Vec<Run>, Trouble> {
        let mut kept = Vec::new();
        let mut done = 0;
        let mut buffer = std::mem::take(&mut self.buffer);
        while done < run.pages {
            let address = run.address + done * PAGE;
            let count = (run.pages - done).min(buffer.len() as u64 / PAGE);
            let piece = &mut buffer[..usize::try_from(count * PAGE).unwrap_or(0)];
            if memory.read_exact_at(piece, address).is_err() {
                read_page_by_page(memory, address, piece);
            }
            self.add_some(piece, address, &mut kept)?;
            done += count;
        }
        self.buffer = buffer;
        Ok(kept)
    }

    fn add_some(&mut self, piece: &[u8], address: u64, kept: &mut Vec<Run>) -> Result<(), Trouble> {
        let page = usize::try_from(PAGE).unwrap_or(4096);
        let is_zero: Vec<bool> = piece.chunks(page).map(|page| page.iter().all(|byte| *byte == 0)).collect();
        let mut place = 0;
        while place < is_zero.len() {
            let count = is_zero[place..].iter().take_while(|zero| **zero == is_zero[place]).count();
            if !is_zero[place] {
                self.write(&piece[place * page..(place + count) * page])?;
                maps::push(kept, Run { address: address + place as u64 * PAGE, pages: count as u64 });
            }
            place += count;
        }
        Ok(())
    }

    /// Adds bytes.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<Content, Trouble> {
        let content = Content { offset: self.end, length: bytes.len() as u64 };
        self.write(bytes)?;
        Ok(content)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let end = self.end + bytes.len() as u64;
        if end > LIMIT {
            return Err(Trouble::unsupported(format!("it has more than {} MB", LIMIT >> 20)));
        }
        self.file.write_all_at(bytes, self.end).at(Step::Capture, "image")?;
        self.end = end;
        Ok(())
    }

    pub(super) fn seal(self) -> Result<OwnedFd, Failure> {
        seal(self.file)
    }
}

fn read_page_by_page(memory: &File, address: u64, piece: &mut [u8]) {
    for (page, address) in
        piece.chunks_mut(usize::try_from(PAGE).unwrap_or(4096)).zip((address..).step_by(4096))
    {
        if memory.read_exact_at(page, address).is_err() {
            page.fill(0);
        }
    }
}

/// A sealed file of these bytes.
pub(super) fn sealed(bytes: &[u8]) -> Result<OwnedFd, Failure> {
    let file = memory_file()?;
    file.write_all_at(bytes, 0).at(Step::Capture, "description")?;
    seal(file)
}

fn memory_file() -> Result<File, Failure> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    rustix::fs::memfd_create(c"snapshot", flags)
        .map(File::from)
        .map_err(io::Error::from)
        .at(Step::Capture, "image")
}

/// From here on nobody can change it.
fn seal(file: File) -> Result<OwnedFd, Failure> {
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals).at(Step::Capture, "seal")?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_zeros_are_left_out() {
        let memory = memory_file().unwrap();
        let page = 4096;
        memory.write_all_at(&vec![1; page], 2 * PAGE).unwrap();
        memory.write_all_at(&[2], 4 * PAGE + 7).unwrap();
        let mut image = Image::new().unwrap();
        let kept = image.add_pages(&memory, Run { address: 0, pages: 200 }).unwrap();
        let run = |number, pages| Run { address: number * PAGE, pages };
        // The end of the file, within a page, is where reading fails.
        assert_eq!(kept, [run(2, 1)]);
        memory.set_len(200 * PAGE).unwrap();
        assert_eq!(image.add_pages(&memory, run(0, 200)).unwrap(), [run(2, 1), run(4, 1)]);
        assert_eq!(image.size(), 3 * PAGE);
        let content = image.add(b"abc").unwrap();
        let sealed = File::from(image.seal().unwrap());
        let mut read = [0; 3];
        sealed.read_exact_at(&mut read, content.offset).unwrap();
        assert_eq!(&read, b"abc");
        assert!(sealed.write_all_at(b"x", 0).is_err());
    }
}

//! Copies of files: their bytes, by the shortest way, and who may read them.

use std::fs::File;
use std::io;

/// Copies as much as it can of a part of a file to the same place in another
/// one, without its bytes coming by here. Returns how much that was.
pub(crate) fn copy_directly(source: &File, target: &File, position: u64, len: u64) -> u64 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let (mut from, mut to) = (position, position);
        while from < position + len {
            let left = usize::try_from(position + len - from).unwrap_or(usize::MAX);
            match rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut to), left)
            {
                Ok(0) => break,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                // Whoever copies the rest is told why it cannot be.
                Err(_) => break,
            }
        }
        from - position
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = (source, target, position, len);
        0
    }
}

/// Gives a copy of a file, which is its owner's alone so far, the file's owner
/// and rights, as far as this process may. Nobody gets a right to the copy who
/// has none to the file.
pub(crate) fn keep_rights(source: &File, copy: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
        let of_source = source.metadata()?;
        // Not everybody may give files away.
        let _ = fchown(copy, None, Some(of_source.gid()));
        let _ = fchown(copy, Some(of_source.uid()), None);
        let of_copy = copy.metadata()?;
        let mode = of_source.mode() & 0o777;
        let mode = if of_copy.gid() != of_source.gid() {
            // One group's members are the others of the other one.
            let both = mode >> 3 & mode & 0o7;
            mode & 0o700 | both << 3 | both
        } else if keep_access_list(source, copy) {
            mode
        } else {
            mode & 0o700
        };
        copy.set_permissions(std::fs::Permissions::from_mode(mode))
    }
    #[cfg(not(unix))]
    {
        copy.set_permissions(source.metadata()?.permissions())
    }
}

/// Gives a copy of a file its list of users and groups, or takes away the one
/// that its folder gave it. Returns whether that is how it is now.
#[cfg(unix)]
fn keep_access_list(source: &File, copy: &File) -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::fs::{XattrFlags, fgetxattr, fremovexattr, fsetxattr};
        use rustix::io::Errno;
        const LIST: &str = "system.posix_acl_access";
        let mut list = vec![0; 1 << 16];
        match fgetxattr(source, LIST, &mut list[..]) {
            Ok(len) => fsetxattr(copy, LIST, &list[..len], XattrFlags::empty()).is_ok(),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => matches!(
                fremovexattr(copy, LIST),
                Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP)
            ),
            Err(_) => false,
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = (source, copy);
        true
    }
}

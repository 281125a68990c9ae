//! The traits for what needs no `&mut`.

/// Implements a trait of this module for a type and for shared references to it, by its inherent methods
/// of the same names, which take `&self`. For a sink, `finish` is what [`Write::finish`](crate::io::Write)
/// does.
macro_rules! by_shared_reference {
    ($type:ty: Read) => {
        crate::io::by_shared_reference!(impl Read for $type, $type);
        crate::io::by_shared_reference!(impl Read for &$type, $type);
    };
    ($type:ty: Write, $this:ident => $finish:expr) => {
        crate::io::by_shared_reference!(impl Write for $type, $type, $this => $finish);
        crate::io::by_shared_reference!(impl Write for &$type, $type, $this => $finish);
    };
    (impl Read for $for:ty, $type:ty) => {
        impl crate::io::Read for $for {
            fn read(
                &mut self,
                buf: &mut [u8],
            ) -> impl Future<Output = std::io::Result<usize>> + Send {
                <$type>::read(self, buf)
            }
        }
    };
    (impl Write for $for:ty, $type:ty, $this:ident => $finish:expr) => {
        impl crate::io::Write for $for {
            fn write(
                &mut self,
                buf: &[u8],
            ) -> impl Future<Output = std::io::Result<usize>> + Send {
                <$type>::write(self, buf)
            }

            async fn finish(&mut self) -> std::io::Result<()> {
                let $this: &$type = self;
                $finish.await
            }

            async fn settle(&mut self) -> std::io::Result<usize> {
                <$type>::settle(self).await
            }
        }
    };
}
pub(crate) use by_shared_reference;

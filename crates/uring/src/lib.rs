//! The io_uring completion driver of filch: rings, operations, buffers and descriptors

# What the seal holds against on this kernel, shown with the kernel's own calls alone.
exec seal-test

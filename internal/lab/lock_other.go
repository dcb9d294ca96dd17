//go:build !unix

package lab

import "syscall"

// lockDir has no lock that goes with the process here.
func lockDir(string) (func(), error) { return func() {}, nil }

func apart() *syscall.SysProcAttr { return nil }

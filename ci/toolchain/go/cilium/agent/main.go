// Command agent is Cilium's own agent, which also starts on a kernel without loadable modules.
//
// Such a kernel has everything built in and no /proc/modules. Cilium 1.15 reads that file and ends when
// it is not there; this starts it with an empty list in its place, after which it warns and goes on.
// Where the file exists nothing differs from Cilium's own main.
package main

import (
	"errors"
	"io/fs"
	"os"

	"github.com/cilium/cilium/daemon/cmd"
	"github.com/cilium/cilium/pkg/datapath/linux/modules"
	"github.com/cilium/cilium/pkg/hive"
	"github.com/cilium/cilium/pkg/hive/cell"
)

func main() {
	agent := cmd.Agent
	if _, err := os.Stat("/proc/modules"); errors.Is(err, fs.ErrNotExist) {
		agent = cell.Decorate(func() *modules.Manager { return &modules.Manager{} }, agent)
	}
	cmd.Execute(cmd.NewAgentCmd(hive.New(agent)))
}

package lab

import (
	"fmt"
	"strings"
	"time"
)

// Where somebody at the keyboard is.
type shellMode int

const (
	shellBooting shellMode = iota
	shellUser
	shellPassword
	shellPrompt
	shellDown // on the way down; keys are ignored
)

// shell is the guest's terminal. It runs nothing: it answers a few commands
// from what is known of the machine.
type shell struct {
	mode    shellMode
	user    string
	line    []rune
	history []string
	recall  int
}

// maxLine keeps a stuck key from growing the line for ever.
const maxLine = 500

// modifiers are what one viewer's keyboard keeps from key to key: what is held
// down, and the dead key that waits for its letter.
type modifiers struct {
	ctrl, alt bool
	dead      uint32
}

// X11 key symbols.
const (
	keyBackspace = 0xff08
	keyTab       = 0xff09
	keyReturn    = 0xff0d
	keyUp        = 0xff52
	keyDown      = 0xff54
	keyEnterPad  = 0xff8d
	keyCtrlLeft  = 0xffe3
	keyCtrlRight = 0xffe4
	keyAltLeft   = 0xffe9
	keyAltRight  = 0xffea
	keyDeletePad = 0xff9f
	keyDelete    = 0xffff
)

// key takes one key from a viewer.
func (s *screen) key(mod *modifiers, sym uint32, down bool) {
	switch sym {
	case keyCtrlLeft, keyCtrlRight:
		mod.ctrl = down
	case keyAltLeft, keyAltRight:
		mod.alt = down
	}
	if !down {
		return
	}
	if mod.ctrl && mod.alt && (sym == keyDelete || sym == keyDeletePad) {
		go s.hooks.reboot()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.halted || s.shell.mode == shellBooting || s.shell.mode == shellDown {
		return
	}
	switch {
	case sym == keyReturn || sym == keyEnterPad:
		s.enter()
	case sym == keyBackspace:
		s.erase(1)
	case sym == keyTab:
	case sym == keyUp:
		s.recallLine(-1)
	case sym == keyDown:
		s.recallLine(1)
	case mod.ctrl:
		s.control(sym)
	default:
		for _, r := range mod.compose(sym) {
			s.put(r)
		}
	}
}

func (s *screen) put(r rune) {
	if len(s.shell.line) >= maxLine {
		return
	}
	s.shell.line = append(s.shell.line, r)
	if s.shell.mode != shellPassword {
		s.write(string(r))
	}
}

func runeOf(sym uint32) rune {
	switch {
	case sym >= 0x20 && sym <= 0x7e, sym >= 0xa0 && sym <= 0xff:
		return rune(sym)
	case sym >= 0x01000100 && sym <= 0x0110ffff:
		return rune(sym - 0x01000000)
	case sym >= 0xffaa && sym <= 0xffb9: // number pad
		return rune(sym - 0xff80)
	}
	return 0
}

func (s *screen) control(sym uint32) {
	switch sym | 0x20 {
	case 'c':
		s.write("^C\n")
		s.shell.line = nil
		if s.shell.mode == shellPrompt {
			s.prompt()
		} else {
			s.login()
		}
	case 'u':
		s.erase(len(s.shell.line))
	case 'w':
		line := strings.TrimRight(string(s.shell.line), " ")
		cut := len([]rune(line[:strings.LastIndex(line, " ")+1]))
		s.erase(len(s.shell.line) - cut)
	case 'l':
		if s.shell.mode == shellPrompt {
			s.write("\f")
			s.prompt()
			s.write(string(s.shell.line))
		}
	case 'd':
		if s.shell.mode == shellPrompt && len(s.shell.line) == 0 {
			s.write("logout\n")
			s.login()
		}
	}
}

func (s *screen) erase(n int) {
	n = min(n, len(s.shell.line))
	s.shell.line = s.shell.line[:len(s.shell.line)-n]
	if s.shell.mode == shellPassword {
		return
	}
	for range n {
		if s.col == 0 && s.row > 0 { // the line had wrapped
			s.touch(s.row, s.col)
			s.row, s.col = s.row-1, s.cols
		}
		s.write("\b \b")
	}
}

func (s *screen) recallLine(step int) {
	sh := &s.shell
	at := sh.recall + step
	if sh.mode != shellPrompt || at < 0 || at > len(sh.history) {
		return
	}
	s.erase(len(sh.line))
	sh.recall = at
	if at < len(sh.history) {
		sh.line = []rune(sh.history[at])
		s.write(sh.history[at])
	}
}

// login shows the prompt for a user's name.
func (s *screen) login() {
	history := s.shell.history
	s.shell = shell{mode: shellUser, history: history, recall: len(history)}
	s.cursorOn = true
	m := s.machine
	if s.template.boot == bootWindows {
		s.write("\n" + strings.ToUpper(m.hostName()) + "\nUser name: ")
		return
	}
	title := strings.TrimSpace(s.template.OS + " " + s.template.Version)
	if title == "" {
		title = "Linux"
	}
	s.write(fmt.Sprintf("\n%s %s tty1\n\n%s login: ", title, m.hostName(), m.hostName()))
}

func (s *screen) prompt() {
	sh := &s.shell
	sh.mode, sh.line, sh.recall = shellPrompt, nil, len(sh.history)
	switch {
	case s.template.boot == bootWindows:
		s.write(`C:\Users\` + sh.user + ">")
	case sh.user == "root":
		s.write("\x1b[1;31mroot@" + s.machine.hostName() + "\x1b[0m:\x1b[1;34m~\x1b[0m# ")
	default:
		s.write("\x1b[1;32m" + sh.user + "@" + s.machine.hostName() + "\x1b[0m:\x1b[1;34m~\x1b[0m$ ")
	}
}

// enter takes the line that was typed.
func (s *screen) enter() {
	sh := &s.shell
	line := strings.TrimSpace(string(sh.line))
	sh.line = nil
	s.write("\n")
	switch sh.mode {
	case shellBooting, shellDown: // nobody reads what is typed
	case shellUser:
		if line == "" {
			s.login()
			return
		}
		sh.user, sh.mode = line, shellPassword
		s.write("Password: ")
	case shellPassword:
		if s.template.boot != bootWindows {
			s.write(fmt.Sprintf("Welcome to %s.\nThis machine is simulated: type help for what it knows.\n\n",
				strings.TrimSpace(s.template.OS+" "+s.template.Version)))
		}
		s.prompt()
	case shellPrompt:
		if line != "" && (len(sh.history) == 0 || sh.history[len(sh.history)-1] != line) {
			sh.history = append(sh.history, line)
			if len(sh.history) > 50 {
				sh.history = sh.history[1:]
			}
		}
		s.run(line)
	}
}

// run answers one command and shows the next prompt.
func (s *screen) run(line string) {
	words := strings.Fields(line)
	if len(words) == 0 {
		s.prompt()
		return
	}
	if words[0] == "sudo" && len(words) > 1 {
		words = words[1:]
	}
	switch words[0] {
	case "clear", "cls":
		s.write("\f")
	case "exit", "logout":
		s.login()
		return
	case "reboot":
		s.goDown("Rebooting.", s.hooks.reboot)
		return
	case "poweroff", "halt", "shutdown":
		s.goDown("Powering down.", s.hooks.powerOff)
		return
	default:
		if out := s.answer(words, line); out != "" {
			s.write(strings.TrimRight(out, "\n") + "\n")
		}
	}
	s.prompt()
}

// goDown stops the guest; what it does to the machine comes a moment later,
// so that the last words can be read.
func (s *screen) goDown(words string, act func()) {
	s.shell.mode = shellDown
	s.cursorOn = false
	s.write(okMark + "Stopped target multi-user.target - Multi-User System.\n" +
		okMark + "Unmounted /boot.\n" + words + "\n")
	time.AfterFunc(300*time.Millisecond, act)
}

func (s *screen) uptime() time.Duration { return time.Since(s.bootAt).Round(time.Second) }

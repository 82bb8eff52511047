; The first code the console runs: cartridge header, interrupt vectors, memory cleared, then main().
; The header's title, types and checksums are filled in by build.py; the logo area stays zero.

	.module crt0
	.globl	_main
	.globl	_vblank_flag
	.globl	_reset
	.globl	_oam_copy
	.globl	s__INITIALIZER
	.globl	s__INITIALIZED
	.globl	l__INITIALIZER

	.area	_HEADER (ABS)
	.org	0x40			; vertical blank
	push	af
	ld	a, #1
	ld	(_vblank_flag), a
	pop	af
	reti
	.org	0x48			; LCD status: not used
	reti
	.org	0x50			; timer: not used
	reti
	.org	0x58			; serial: not used
	reti
	.org	0x60			; joypad: not used
	reti

	.org	0x100
	nop
	jp	start

	.org	0x150
start:
	di
	ld	sp, #0xe000
	xor	a, a
	ldh	(0x26), a		; sound off
	ld	hl, #0xc000		; all work RAM to zero, so that every power-on is the same
clear_ram:
	xor	a, a
	ld	(hl+), a
	ld	a, h
	cp	a, #0xe0
	jr	nz, clear_ram
	ld	hl, #0xff80
clear_hram:
	xor	a, a
	ld	(hl+), a
	ld	a, l
	cp	a, #0xff
	jr	nz, clear_hram
	ld	hl, #oam_copy_code	; OAM DMA must run from high RAM
	ld	de, #0xff80
	ld	b, #(oam_copy_end - oam_copy_code)
copy_dma:
	ld	a, (hl+)
	ld	(de), a
	inc	de
	dec	b
	jr	nz, copy_dma
	call	gsinit
	call	_main
	jr	start

; void reset(void): as if the power had been switched. The LCD must be off.
_reset::
	jp	start

; void oam_copy(void): the shadow sprite table at C000 goes to the screen. Only in vertical blank.
_oam_copy::
	jp	0xff80

oam_copy_code:
	ld	a, #0xc0
	ldh	(0x46), a
	ld	a, #40
wait_dma:
	dec	a
	jr	nz, wait_dma
	ret
oam_copy_end:

	.area	_HOME
	.area	_BASE
	.area	_CODE
	.area	_LIT
	.area	_INITIALIZER
	.area	_GSINIT
	.area	_GSFINAL
	.area	_DATA
	.area	_BSS
	.area	_INITIALIZED
	.area	_HEAP

	.area	_GSINIT
gsinit::
	ld	bc, #l__INITIALIZER
	ld	hl, #s__INITIALIZER
	ld	de, #s__INITIALIZED
copy_initial:
	ld	a, b
	or	a, c
	jr	z, copied
	ld	a, (hl+)
	ld	(de), a
	inc	de
	dec	bc
	jr	copy_initial
copied:
	.area	_GSFINAL
	ret

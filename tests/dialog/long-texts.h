/* Texts of the lengths at which one byte of length is full. */
#pragma once

#define X5   "xxxxx"
#define X51  X5 X5 X5 X5 X5 X5 X5 X5 X5 X5 "x"
#define X255 X51 X51 X51 X51 X51

"""Checkpoints: there whole or not at all, damage found, loaded by any number of processes.

step-00000040/
  weights/          every trained weight with its optimizer's moments, in pieces (torch.distributed.checkpoint)
  process-0.pt      what each process knows besides
  manifest.json     update, processes, threads, and size and checksum of every file; written last
"""
